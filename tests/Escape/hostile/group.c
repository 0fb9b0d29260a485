// A set-group-ID program: whether it was given the group that it is of.
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int count, char **arguments)
{
    struct stat status;
    return count == 1 && stat(arguments[0], &status) == 0 && getegid() == status.st_gid ? 0 : EPERM;
}
