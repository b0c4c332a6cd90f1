/* main.c - wiring only: the command line is in cli/. */
#include <stdio.h>

int main(void) {
    puts("tidewire " TIDEWIRE_VERSION);
    return 0;
}
