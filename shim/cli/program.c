#include "program.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../sys/image.h"
#include "cli.h"

#define INTERPRETERS_MAX 5 /* execve(2) */

static bool is_executable(const char *path)
{
    struct stat file;
    return stat(path, &file) == 0 && S_ISREG(file.st_mode) && access(path, X_OK) == 0;
}

bool program_find(const char *name, char *path, size_t size)
{
    const char *at = getenv("PATH");
    if (strchr(name, '/')) {
        int length = snprintf(path, size, "%s", name);
        return length > 0 && (size_t)length < size && is_executable(path);
    }
    for (at = at ? at : "/bin:/usr/bin"; *name; at++) {
        size_t directory = strcspn(at, ":");
        int length = snprintf(path, size, "%.*s%s%s", (int)directory, at, directory ? "/" : "./", name);
        if ((size_t)length < size && is_executable(path))
            return true;
        at += directory;
        if (!*at)
            break;
    }
    return false;
}

/* ELF, whatever the machine: what isn't, and has no "#!", is run by a shell. */
static bool is_elf(const char *path, unsigned char ident[EI_NIDENT])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    bool is = fd >= 0 && read(fd, ident, EI_NIDENT) == EI_NIDENT && !memcmp(ident, ELFMAG, SELFMAG);
    if (fd >= 0)
        close(fd);
    return is;
}

const char *program_refuses(const char *path)
{
    char interpreter[IMAGE_INTERPRETER_SIZE];
    unsigned char ident[EI_NIDENT];
    struct image image;
    for (int depth = 0; depth < INTERPRETERS_MAX; depth++) {
        if (image_inspect(&image, AT_FDCWD, path) < 0)
            return NULL; /* executable but not readable */
        if (image.privileged)
            return "it runs with other rights than its caller's (set-user-id, set-group-id or file capabilities), so ld.so ignores "
                   "LD_PRELOAD";
        if (!image.script)
            break;
        memcpy(interpreter, image.interpreter, sizeof interpreter);
        path = interpreter;
    }
    if (!is_elf(path, ident))
        return NULL;
    if (ident[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32))
        return "it is a program of the other word size, for which the library beside this command isn't made";
    if (!image.dynamic)
        return "it is linked statically, or for another machine: no library can be loaded into it";
    if (strstr(image.interpreter, "ld-musl"))
        return "it uses musl, and the library needs glibc";
    return NULL;
}

#define GO "Go\0" /* the owner of a note, with the zero that ends it and one to fill up */

/* Each ELF program of Go's has the identity of its build as a note. */
bool program_is_go(const char *path)
{
    ElfW(Ehdr) header;
    bool found = false;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    bool is = fd >= 0 && pread(fd, &header, sizeof header, 0) == sizeof header && header.e_phentsize == sizeof(ElfW(Phdr));
    for (unsigned i = 0; is && !found && i < header.e_phnum; i++) {
        ElfW(Phdr) segment;
        union {
            ElfW(Nhdr) note;
            char bytes[4096]; /* all notes of a program are much less */
        } notes;
        off_t at = (off_t)(header.e_phoff + i * sizeof segment);
        if (pread(fd, &segment, sizeof segment, at) != sizeof segment || segment.p_type != PT_NOTE)
            continue;
        size_t room = segment.p_filesz < sizeof notes ? segment.p_filesz : sizeof notes;
        ssize_t length = pread(fd, &notes, room, (off_t)segment.p_offset);
        for (size_t from = 0; length > 0 && from + sizeof notes.note + sizeof GO <= (size_t)length && !found;) {
            const ElfW(Nhdr) *note = (const void *)(notes.bytes + from);
            found = note->n_namesz == sizeof GO && !memcmp(note + 1, GO, sizeof GO);
            from += sizeof *note + (((size_t)note->n_namesz + 3) & ~3UL) + (((size_t)note->n_descsz + 3) & ~3UL);
        }
    }
    if (fd >= 0)
        close(fd);
    return found;
}

const char *program_library(void)
{
    static char beside[PATH_MAX];
    const char *library = INSTALLED_LIBRARY;
    ssize_t length = readlink("/proc/self/exe", beside, sizeof beside - sizeof PROGRAM_LIBRARY);
    char *slash = length > 0 ? memrchr(beside, '/', (size_t)length) : NULL;
    if (slash) {
        memcpy(slash + 1, PROGRAM_LIBRARY, sizeof PROGRAM_LIBRARY);
        if (access(beside, F_OK) == 0)
            library = beside;
    }
    if (strpbrk(library, " :")) {
        cli_trouble_at(library, "LD_PRELOAD can't name a path with a blank or a colon in it");
        return NULL;
    }
    /* ld.so goes on without a library that it can't load; dlopen fills in $LIB, too, and says why not. */
    if (dlopen(library, RTLD_LAZY | RTLD_LOCAL))
        return library;
    cli_trouble("the library can't be loaded: %s", dlerror());
    return NULL;
}

char *program_preload(const char *present, const char *library)
{
    static const char separators[] = " :";
    char *list = NULL, real[PATH_MAX], other[PATH_MAX];
    bool known = realpath(library, real) != NULL;
    present = present ? present : "";
    for (const char *at = present; *(at += strspn(at, separators)); at += strcspn(at, separators)) {
        size_t length = strcspn(at, separators);
        char item[PATH_MAX];
        if (length >= sizeof item)
            continue;
        memcpy(item, at, length);
        item[length] = '\0';
        if (!strcmp(item, library) || (known && realpath(item, other) && !strcmp(real, other)))
            return strdup(present ? present : "");
    }
    if (asprintf(&list, "%s%s%s", present, *present ? ":" : "", library) < 0)
        return NULL;
    return list;
}

bool program_names_library(const char *list)
{
    static const char separators[] = " :\t\n";
    for (const char *at = list ? list : ""; *(at += strspn(at, separators)); at += strcspn(at, separators)) {
        size_t length = strcspn(at, separators), name = strlen(PROGRAM_LIBRARY);
        if (length >= name && !memcmp(at + length - name, PROGRAM_LIBRARY, name) &&
            (length == name || at[length - name - 1] == '/'))
            return true;
    }
    return false;
}
