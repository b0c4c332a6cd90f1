#include "cli/cli.h"

#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/memory.h"

#include "check.h"

/* A folder without a configuration is the working directory. */
static char folder[] = "/tmp/tidewire_cli_test_XXXXXX";

static char output[65536], errors[65536];

static void read_all(FILE *file, char *text, size_t size) {
    rewind(file);
    text[fread(text, 1, size - 1, file)] = '\0';
    fclose(file);
}

/* Runs one command line, its words apart by one space, in a process of its own. */
static int run(const char *line) {
    char *words = memory_copy_string(line), *argv[32] = {NULL}, *rest = words;
    int argc = 0;
    while ((argv[argc] = strtok_r(rest, " ", &rest))) argc++;
    FILE *out = tmpfile(), *err = tmpfile();
    pid_t child = fork();
    CHECK(child >= 0);
    if (!child) {
        dup2(fileno(out), STDOUT_FILENO);
        dup2(fileno(err), STDERR_FILENO);
        int code = cli_main(argc, argv);
        exit(code); /* the leak check of a sanitizer build included */
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
    read_all(out, output, sizeof output);
    read_all(err, errors, sizeof errors);
    free(words);
    return WEXITSTATUS(status);
}

static void write_file(const char *name, const char *text) {
    FILE *file = fopen(name, "w");
    CHECK(file != NULL);
    fputs(text, file);
    fclose(file);
}

/* Characters, not bytes. */
static size_t columns(const char *line, const char *end) {
    size_t count = 0;
    for (; line < end; line++) count += ((unsigned char)*line & 0xc0) != 0x80;
    return count;
}

static void check_screen(const char *text) {
    size_t lines = 0;
    CHECK(*text);
    for (const char *line = text, *end; (end = strchr(line, '\n')); line = end + 1, lines++) {
        if (columns(line, end) > 80) fprintf(stderr, "too wide: %.*s\n", (int)(end - line), line);
        CHECK(columns(line, end) <= 80);
    }
    CHECK(lines <= 24);
}

static void the_help_of_every_verb_fits_one_screen(void) {
    char line[100];
    CHECK_INT(run("tidewire -h"), EXIT_FINE);
    check_screen(output);
    for (size_t i = 0; verbs[i]; i++) CHECK(strstr(output, verbs[i]->name) != NULL);
    for (size_t i = 0; verbs[i]; i++) {
        snprintf(line, sizeof line, "tidewire %s -h", verbs[i]->name);
        CHECK_INT(run(line), EXIT_FINE);
        check_screen(output);
        CHECK_STR(errors, "");
        snprintf(line, sizeof line, "tidewire help %s", verbs[i]->name);
        CHECK_INT(run(line), EXIT_FINE);
        check_screen(output);
    }
}

static void a_wrong_command_line_says_what_was_meant_and_ends_with_2(void) {
    static const struct {
        const char *line, *error;
    } wrong[] = {
        {"tidewire chekc", "tidewire: unknown verb chekc (did you mean check?)\n"},
        {"tidewire xyzzyx", "tidewire: unknown verb xyzzyx\n"},
        {"tidewire my.conf", "tidewire: unknown verb my.conf (did you mean -c my.conf?)\n"},
        {"tidewire help chekc", "tidewire: unknown verb chekc (did you mean check?)\n"},
        {"tidewire bench", "tidewire: this version does not have `bench` yet\n"},
        {"tidewire check --confg x", "tidewire check: unknown flag --confg (did you mean --config?)\n"},
        {"tidewire call -max-time 3s a:1", "tidewire call: unknown flag -max-time (did you mean --max-time?)\n"},
        {"tidewire check -x", "tidewire check: unknown flag -x\n"},
        {"tidewire check -c", "tidewire check: --config needs a FILE\n"},
        {"tidewire check --help=yes", "tidewire check: --help takes no value\n"},
        {"tidewire check a", "tidewire check: \"a\" is too much\n"},
        {"tidewire config", "tidewire config: something is missing\n"},
        {"tidewire config defualt", "tidewire config: unknown: defualt (did you mean default?)\n"},
        {"tidewire call", "tidewire call: something is missing\n"},
        {"tidewire call nowhere", "tidewire call: \"nowhere\" is no address: write \"host:port\", \"[v6]:port\" or "
                                  "\"unix:/path\"\n"},
        {"tidewire call a:1 b c", "tidewire call: \"c\" is too much\n"},
        {"tidewire call a:1 --key k", "tidewire call: --cert and --key go together\n"},
        {"tidewire call a:1 --max-time 5parsecs",
         "tidewire call: --timeout 5parsecs: expected a time, such as 5s or 300ms\n"},
        {"tidewire call a:1 -H nothing", "tidewire call: -H 'nothing': expected 'NAME: VALUE'\n"},
        {"tidewire check", "tidewire check: there is no ./tidewire.conf, ./etc/tidewire.conf or "
                           "/etc/tidewire/tidewire.conf: name a configuration with -c FILE\n"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK_INT(run(wrong[i].line), EXIT_USAGE);
        CHECK_STR(output, "");
        char *usage = strstr(errors, "usage: ");
        CHECK(usage != NULL);
        *usage = '\0';
        CHECK_STR(errors, wrong[i].error);
    }
}

static void check_tells_the_fault_and_ends_with_1(void) {
    write_file("bad.conf", "\nlimits { mesage = 1MiB }\n");
    static const char *const lines[] = {"tidewire check -c bad.conf", "tidewire check --config=bad.conf",
                                        "tidewire check --config bad.conf", "tidewire -t -cbad.conf",
                                        "tidewire -c bad.conf -t"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        CHECK_INT(run(lines[i]), EXIT_FAILED);
        CHECK_STR(output, "");
        CHECK_STR(errors, "bad.conf:2: error: `limits` has no key `mesage` (did you mean \"message\"?)\n");
    }
}

static void check_is_quiet_about_a_good_file(void) {
    write_file("good.conf", "listen \"127.0.0.1:0\" { }\n");
    CHECK_INT(run("tidewire check -c bad.conf -c good.conf"), EXIT_FINE);
    CHECK_STR(output, "good.conf is fine\n");
    CHECK_STR(errors, "");
}

static void the_configuration_is_looked_up_in_its_order(void) {
    setenv("TIDEWIRE_CONFIG", "good.conf", 1);
    CHECK_INT(run("tidewire -t"), EXIT_FINE);
    CHECK_STR(output, "good.conf is fine\n");
    CHECK_INT(run("tidewire check -c bad.conf"), EXIT_FAILED);
    unsetenv("TIDEWIRE_CONFIG");
    CHECK_INT(system("mkdir etc && cp good.conf etc/tidewire.conf"), 0);
    CHECK_INT(run("tidewire check"), EXIT_FINE);
    CHECK_STR(errors, "tidewire: the configuration is ./etc/tidewire.conf\n");
    CHECK_INT(system("cp good.conf tidewire.conf"), 0);
    CHECK_INT(run("tidewire check"), EXIT_FINE);
    CHECK_STR(errors, "tidewire: the configuration is ./tidewire.conf\n");
    CHECK_STR(output, "./tidewire.conf is fine\n");
}

static void version_names_the_libraries(void) {
    static const char *const lines[] = {"tidewire version", "tidewire -V", "tidewire --version"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        CHECK_INT(run(lines[i]), EXIT_FINE);
        CHECK(strstr(output, "tidewire " TIDEWIRE_VERSION "\n") == output);
        static const char *const libraries[] = {"LuaJIT ", "libevent ", "OpenSSL ", "c-ares ",
                                                "nghttp2 ", "zlib ", "protobuf-c ", "libconfuse "};
        for (size_t k = 0; k < sizeof libraries / sizeof *libraries; k++) CHECK(strstr(output, libraries[k]) != NULL);
    }
}

static void the_default_configuration_passes_the_check(void) {
    CHECK_INT(run("tidewire config default"), EXIT_FINE);
    write_file("default.conf", output);
    CHECK_INT(run("tidewire check -c default.conf"), EXIT_FINE);
}

static void output_that_goes_nowhere_is_a_failure(void) {
    if (access("/dev/full", W_OK)) return;
    pid_t child = fork();
    if (!child) {
        FILE *ends = freopen("/dev/full", "w", stdout);
        CHECK(ends != NULL && freopen("/dev/null", "w", stderr) != NULL);
        _exit(cli_main(3, (char *[]){(char[]){"tidewire"}, (char[]){"config"}, (char[]){"default"}, NULL}));
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_INT(WEXITSTATUS(status), EXIT_FAILED);
}

int main(void) {
    char command[100];
    CHECK(mkdtemp(folder) != NULL && chdir(folder) == 0);
    unsetenv("TIDEWIRE_CONFIG");
    RUN(the_help_of_every_verb_fits_one_screen);
    RUN(a_wrong_command_line_says_what_was_meant_and_ends_with_2);
    RUN(check_tells_the_fault_and_ends_with_1);
    RUN(check_is_quiet_about_a_good_file);
    RUN(the_configuration_is_looked_up_in_its_order);
    RUN(version_names_the_libraries);
    RUN(the_default_configuration_passes_the_check);
    RUN(output_that_goes_nowhere_is_a_failure);
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    CHECK(chdir("/") == 0 && system(command) == 0);
    return 0;
}
