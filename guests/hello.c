/* The smallest C program; built static, static-PIE and dynamic, so that each way into a process is taken. */
#include <stdio.h>

int main(void)
{
    puts("hello");
    return 0;
}
