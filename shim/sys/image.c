#include "image.h"

#include <elf.h>
#include <link.h>
#include <string.h>

#include "call.h"
#include "directory.h"
#include "scratch.h"

#define HEAD_SIZE 4096

#if defined __x86_64__
#define OWN_MACHINE EM_X86_64
#elif defined __i386__
#define OWN_MACHINE EM_386
#elif defined __aarch64__
#define OWN_MACHINE EM_AARCH64
#elif defined __arm__
#define OWN_MACHINE EM_ARM
#elif defined __riscv
#define OWN_MACHINE EM_RISCV
#elif defined __powerpc64__
#define OWN_MACHINE EM_PPC64
#elif defined __s390x__
#define OWN_MACHINE EM_S390
#else
#error "add this machine's e_machine"
#endif
#define OWN_CLASS (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32)

static void copy_word(struct image *image, const char *from, size_t length)
{
    if (length >= sizeof image->interpreter)
        return;
    memcpy(image->interpreter, from, length);
    image->interpreter[length] = '\0';
}

static void inspect_script(struct image *image, const char *head, size_t length)
{
    const char *end = memchr(head, '\n', length);
    const char *at = head + 2;
    if (!end)
        end = head + length;
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    const char *word = at;
    while (at < end && *at != ' ' && *at != '\t' && *at)
        at++;
    image->script = true;
    copy_word(image, word, (size_t)(at - word));
}

/* The program headers, and the loader's name, are at the start of every file that a linker writes. */
static void inspect_elf(struct image *image, const char *head, size_t length)
{
    const ElfW(Ehdr) *elf = (const void *)head;
    if (length < sizeof *elf || elf->e_ident[EI_CLASS] != OWN_CLASS || elf->e_machine != OWN_MACHINE ||
        elf->e_phentsize != sizeof(ElfW(Phdr)))
        return;
    for (unsigned i = 0; i < elf->e_phnum; i++) {
        size_t at = elf->e_phoff + i * sizeof(ElfW(Phdr));
        if (at > length || length - at < sizeof(ElfW(Phdr)))
            return;
        ElfW(Phdr) header;
        memcpy(&header, head + at, sizeof header);
        if (header.p_type != PT_INTERP)
            continue;
        if (header.p_offset < length && header.p_filesz <= length - header.p_offset) {
            image->dynamic = true;
            copy_word(image, head + header.p_offset, strnlen(head + header.p_offset, header.p_filesz));
        }
        return;
    }
}

static bool gains_privilege(int fd, const struct statx *file)
{
    char capability[64];
    uid_t uid = sys_geteuid();
    if (sys_getuid() != uid || sys_getgid() != sys_getegid()) /* AT_SECURE for whatever is started now */
        return true;
    if ((file->stx_mode & S_ISUID) && file->stx_uid != uid)
        return true;
    if ((file->stx_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && file->stx_gid != sys_getegid())
        return true;
    return uid != 0 && sys_call(SYS_fgetxattr, fd, "security.capability", capability, sizeof capability) > 0;
}

int image_inspect(struct image *image, int dirfd, const char *path)
{
    char link[DESCRIPTOR_LINK_SIZE];
    memset(image, 0, sizeof *image);
    int fd = sys_openat(dirfd, *path ? path : descriptor_link(link, dirfd), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0);
    if (fd < 0)
        return -1;

    struct statx file;
    char *head = scratch_map(HEAD_SIZE);
    int result = -1;
    if (head && sys_fstat(fd, &file) == 0 && S_ISREG(file.stx_mode)) {
        ssize_t length = sys_read(fd, head, HEAD_SIZE);
        if (length > 2 && head[0] == '#' && head[1] == '!')
            inspect_script(image, head, (size_t)length);
        else if (length > SELFMAG && !memcmp(head, ELFMAG, SELFMAG))
            inspect_elf(image, head, (size_t)length);
        image->privileged = gains_privilege(fd, &file);
        result = length < 0 ? -1 : 0;
    }
    scratch_unmap(head, HEAD_SIZE);
    sys_close_quietly(fd);
    return result;
}
