/* A kernel of a few instructions that ends as ENDING says, entered by PVH in 32-bit protected mode. */
        .section .note.pvh, "a", @note
        .long 4, 4, 18
        .asciz "Xen"
        .long entry

        .text
        .code32
        .globl entry
entry:
        movw $0x3f8, %dx
        movb $'!', %al
        outb %al, %dx
#if ENDING == 0         /* powers off */
        movw $0x600, %dx
        movb $0x34, %al
        outb %al, %dx
#elif ENDING == 1       /* resets */
        movw $0x602, %dx
        movb $1, %al
        outb %al, %dx
#elif ENDING == 2       /* resets after a panic */
        movw $0x1234, 0x472
        movw $0x602, %dx
        movb $1, %al
        outb %al, %dx
#elif ENDING == 3       /* an exception without handlers */
        ud2
#elif ENDING == 4       /* reads what nobody has, touches a refused register, then sleeps for ever */
        movl 0xd0100000, %eax
        movl %eax, 0xd0100000
        inb $0x80, %al
        cli
1:      hlt
        jmp 1b
#elif ENDING == 5       /* writes without end */
1:      outb %al, %dx
        jmp 1b
#elif ENDING == 6       /* writes once more, and powers off */
        outb %al, %dx
        movw $0x600, %dx
        movb $0x34, %al
        outb %al, %dx
#endif
1:      hlt
        jmp 1b
