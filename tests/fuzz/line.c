/* The report's reader of one line: broken or understood, never more strings than the text had bytes. */
#include <json.h>
#include <stdlib.h>
#include <string.h>

#include "../../shim/cli/line.h"

static char *room;

static void must(bool condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct json_tokener *tokener;
    struct line line;
    if (!tokener)
        must((tokener = line_tokener()));
    room = malloc(size + 1);
    char *text = malloc(size + 1); /* with an end that AddressSanitizer sees */
    memcpy(text, data, size);
    text[size] = '\0';
    struct line_room strings = { room, room + size + 1 };
    if (!line_parse(&line, tokener, text, size, &strings)) {
        const char *const all[] = { line.path,    line.host,   line.comm,  line.exe,  line.unit,
                                    line.boot_id, line.reason, line.error, line.stage };
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            must(all[i] && strlen(all[i]) <= size);
        must(line.operation < LINE_OPERATIONS && line.outcome < LINE_OUTCOMES && line.verdict < LINE_VERDICTS);
        must(line.holder_count >= 0 && line.holder_count <= LINE_HOLDERS);
    }
    must(strings.at <= strings.end);
    free(text);
    free(room);
    return 0;
}
