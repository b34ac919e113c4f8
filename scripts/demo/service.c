/* The service of the demo: says its version, and with an argument does so once and ends. */
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    (void)argv;
    do {
        printf("service, version " VERSION "\n");
        fflush(stdout);
        if (argc == 1)
            sleep(1);
    } while (argc == 1);
    return 0;
}
