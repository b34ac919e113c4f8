#include "cli.h"
int run_main(int argc, char **argv) { (void)argc; (void)argv; return 2; }
int metrics_main(int argc, char **argv) { (void)argc; (void)argv; return 2; }
