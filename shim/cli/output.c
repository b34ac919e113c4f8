#include <errno.h>
#include <json.h>
#include <locale.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>

#include "../event/json.h"
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

int cli_trouble_at(const char *path, const char *what)
{
    fputs("etxtbsy: ", stderr);
    cli_print_escaped(stderr, path, strlen(path));
    fprintf(stderr, ": %s\n", what);
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

/* json-c passes bytes on as they are; the log's writer makes any bytes valid JSON, so the string goes through it. */
void cli_add_bytes(struct json_object *object, const char *name, const char *bytes)
{
    size_t size = 8 * strlen(bytes) + 2 * strlen(name) + 64;
    char *buffer = malloc(size);
    if (!buffer)
        abort();
    struct json json = json_begin(buffer, size);
    json.path_max = size;
    json_path(&json, name, bytes);
    buffer[json_end(&json)] = '\0';
    struct json_object *parsed = json_tokener_parse(buffer);
    json_object_object_foreach(parsed, field, value) json_object_object_add(object, field, json_object_get(value));
    json_object_put(parsed);
    free(buffer);
}

void cli_print_json(struct json_object *object)
{
    puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(object);
}

bool cli_colours(void)
{
    const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");
    return isatty(STDOUT_FILENO) && !(no_color && *no_color) && !(terminal && !strcmp(terminal, "dumb"));
}

/*
 * Beside the file, so that a rename can put it in place; where the path is a symbolic link, beside what that leads to. What isn't
 * a file (/dev/stdout, a pipe) is written to as it is.
 */
FILE *cli_file_begin(struct cli_file *file, const char *path)
{
    struct stat there;
    *file = (struct cli_file){ .path = strdup(path) };
    if (!file->path)
        abort();
    if (!strcmp(path, "-"))
        return file->stream = stdout;
    bool exists = stat(path, &there) == 0;
    if (exists && !S_ISREG(there.st_mode)) {
        if (!(file->stream = fopen(path, "we"))) {
            cli_trouble_at(path, strerror(errno));
            free(file->path);
        }
        return file->stream;
    }
    char *real = exists ? realpath(path, NULL) : NULL;
    if (real) {
        free(file->path);
        file->path = real;
    }
    if (asprintf(&file->temporary, "%s.XXXXXX", file->path) < 0)
        abort();
    int fd = mkstemp(file->temporary);
    if (fd >= 0 && fchmod(fd, 0644) == 0 && (file->stream = fdopen(fd, "w")))
        return file->stream;
    cli_trouble_at(path, strerror(errno));
    if (fd >= 0) {
        close(fd);
        unlink(file->temporary);
    }
    free(file->temporary);
    free(file->path);
    return NULL;
}

int cli_file_end(struct cli_file *file)
{
    bool failed = false;
    if (file->stream != stdout) { /* which main looks after */
        failed = ferror(file->stream) || fflush(file->stream) != 0 || (file->temporary && fsync(fileno(file->stream)) < 0);
        failed |= fclose(file->stream) != 0;
        failed = failed || (file->temporary && rename(file->temporary, file->path) < 0);
    }
    if (failed)
        cli_trouble_at(file->path, strerror(errno));
    if (failed && file->temporary)
        unlink(file->temporary);
    free(file->temporary);
    free(file->path);
    return failed ? CLI_TROUBLE : CLI_FINE;
}
