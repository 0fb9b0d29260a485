/* Ends by SIGSEGV, first process or not. */
int main(void)
{
    *(volatile char *)1 = 0;
    return 0;
}
