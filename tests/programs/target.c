/*
 * The program that the tests overwrite and start. Without arguments it runs until it is killed; with arguments it prints
 * them behind "started" and ends.
 */
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc == 1)
        for (;;)
            pause();
    printf("started");
    for (int i = 1; i < argc; i++)
        printf(" %s", argv[i]);
    printf("\n");
    return 0;
}
