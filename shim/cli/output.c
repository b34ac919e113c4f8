#include <locale.h>
#include <stdarg.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#include "cli.h"

int cli_trouble(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("etxtbsy: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return CLI_TROUBLE;
}

int cli_print_escaped(FILE *stream, const char *bytes, size_t length)
{
    mbstate_t state = { 0 };
    int columns = 0;
    while (length) {
        wchar_t character;
        size_t taken = mbrtowc(&character, bytes, length, &state);
        if (taken && taken <= length && iswprint((wint_t)character)) {
            int width = wcwidth(character);
            fwrite(bytes, 1, taken, stream);
            columns += width > 0 ? width : 0;
        } else {
            state = (mbstate_t){ 0 };
            taken = 1;
            columns += *bytes == '\t' || *bytes == '\n' ? fprintf(stream, *bytes == '\t' ? "\\t" : "\\n")
                                                        : fprintf(stream, "\\x%02x", (unsigned char)*bytes);
        }
        bytes += taken;
        length -= taken;
    }
    return columns;
}
