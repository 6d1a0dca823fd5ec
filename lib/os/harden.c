#include "os/harden.h"

#include <link.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/sys.h"

/* The linker puts it where the file's first byte is mapped, from which all addresses are counted.
   Of unknown size, for the program headers lie behind the first one. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));

void os_harden(void)
{
    const char *base = __ehdr_start;
    const ElfW(Ehdr) *head = (const void *)base;
    const ElfW(Phdr) *p = (const void *)(base + head->e_phoff);
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

    for (unsigned i = 0; i < head->e_phnum; i++) {
        uintptr_t from = (uintptr_t)base + p[i].p_vaddr;
        uintptr_t to = (from + p[i].p_memsz) & ~(page - 1);

        from &= ~(page - 1); /* nothing that is written to stands before it in its segment */
        if (p[i].p_type == PT_GNU_RELRO && to > from)
            (void)os_sys->mprotect((void *)from, to - from, PROT_READ); /* without it all works */
    }
}
