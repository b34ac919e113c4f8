#include "holder_list.h"

#include <string.h>

#include "../sys/call.h"
#include "../sys/text.h"
#include "host.h"
#include "json.h"
#include "stamp.h"

#define CMDLINE_MAX 1024 /* of one process, said */

/* Behind `holders`, which may fill a line: "holders_truncated":true,"holders_hidden":4294967295 */
#define ROOM_BEHIND 64

static size_t keep_text(struct holder_list *list, const char *text)
{
    size_t size = strlen(text) + 1;
    if (size > sizeof list->text - list->used) {
        list->truncated = true;
        return 0;
    }
    size_t at = list->used;
    memcpy(list->text + at, text, size);
    list->used += size;
    return at;
}

/* The arguments, with blanks between them. */
static size_t keep_cmdline(struct holder_list *list, pid_t pid)
{
    char path[HOST_DIRECTORY_SIZE + 16], cmdline[CMDLINE_MAX];
    struct text text = TEXT(path);
    char directory[HOST_DIRECTORY_SIZE];
    text_add(&text, host_directory(directory, pid));
    text_add(&text, "/cmdline");
    long length = lines_read_file(AT_FDCWD, path, cmdline, sizeof cmdline);
    while (length > 0 && !cmdline[length - 1])
        length--;
    for (long i = 0; i < length; i++)
        if (!cmdline[i])
            cmdline[i] = ' ';
    return length > 0 ? keep_text(list, cmdline) : 0;
}

void holder_list_add(void *context, const struct holder *holder)
{
    struct holder_list *list = context;
    if (list->count == HOLDER_LIST_MAX) {
        list->truncated = true;
        return;
    }
    if (!list->used)
        keep_text(list, ""); /* so that 0 is no place */
    size_t i = list->count++;
    list->holder[i].pid = holder->pid;
    list->holder[i].uid = holder->uid;
    list->holder[i].how = holder->how;
    list->holder[i].fd = holder->fd;
    list->holder[i].started_ns = holder->started_ns;
    memcpy(list->holder[i].comm, holder->comm, sizeof holder->comm);
    list->holder[i].exe = keep_text(list, holder->exe);
    list->holder[i].cmdline = list->with_cmdline ? keep_cmdline(list, holder->pid) : 0;
}

static void write_one(struct json *json, const struct holder_list *list, size_t i)
{
    char stamp[STAMP_SIZE];
    if (!json_open_object(json, NULL))
        return;
    json_number(json, "pid", (uint64_t)list->holder[i].pid);
    json_path(json, "comm", list->holder[i].comm);
    json_path(json, "exe", list->text + list->holder[i].exe);
    json_number(json, "uid", list->holder[i].uid);
    json_string(json, "started", stamp_text(stamp, list->holder[i].started_ns));
    json_string(json, "how", holder_how_name(list->holder[i].how));
    if (list->holder[i].how == HOLDS_WRITE)
        json_number(json, "fd", (uint64_t)list->holder[i].fd);
    if (list->holder[i].cmdline)
        json_path(json, "cmdline", list->text + list->holder[i].cmdline);
    json_close_object(json);
}

void holder_list_write(struct json *json, const struct holder_list *list)
{
    if (!list)
        return;
    bool truncated = list->truncated;
    size_t behind = json->size < ROOM_BEHIND ? json->size : ROOM_BEHIND;
    json->size -= behind;
    if (json_open_array(json, "holders")) {
        for (size_t i = 0; i < list->count; i++) {
            struct json before = *json;
            json->full = false;
            write_one(json, list, i);
            if (json->full) { /* half a holder would be another one */
                *json = before;
                truncated = true;
                break;
            }
        }
        json_close_array(json);
    }
    json->size += behind;
    if (truncated)
        json_boolean(json, "holders_truncated", true);
    if (list->hidden)
        json_number(json, "holders_hidden", list->hidden);
}
