/*
 * tests/fuzz/replay.c - runs a fuzzer's entry point over the files named on the
 * command line, so that `make test` replays the seeds without libFuzzer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *bytes;
	size_t size;
	long end;

	if (!file || fseek(file, 0, SEEK_END) || (end = ftell(file)) < 0) {
		perror(path);
		return 1;
	}
	rewind(file);
	bytes = malloc((size_t)end ? (size_t)end : 1);
	size = bytes ? fread(bytes, 1, (size_t)end, file) : 0;
	LLVMFuzzerTestOneInput(bytes, size);
	free(bytes);
	fclose(file);
	return 0;
}

int main(int argc, char **argv)
{
	int failed = 0;

	for (int i = 1; i < argc; i++)
		failed |= replay(argv[i]);
	printf("%d seeds\n", argc - 1);
	return failed;
}
