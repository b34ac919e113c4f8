#include "report.h"
void report_as_html(const struct report *report, FILE *out) { (void)report; (void)out; }
