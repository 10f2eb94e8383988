/* SPDX-License-Identifier: MIT
 *
 * See nudge.h. Pipes are opened for reading and writing, though nothing is read from another's: so there
 * is always a reader, and no nudge of a rank that has died ends this process with SIGPIPE.
 */
#include "engine/nudge.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NOT_YET = -1, NEVER = -2 }; /* instead of a descriptor */

void art__nudges_open(struct art_nudges *n, struct art_arena_part *mine, int size)
{
	struct stat st;
	int fd[2];

	*n = (struct art_nudges){ .in = -1, .out = -1, .size = size };
	n->to = malloc((size_t)size * sizeof(*n->to));
	if (!n->to)
		return;
	for (int i = 0; i < size; i++)
		n->to[i] = NOT_YET;
	if (pipe2(fd, O_CLOEXEC | O_NONBLOCK))
		return;
	n->in = fd[0];
	n->out = fd[1];
	if (fstat(n->out, &st))
		return;
	mine->nudge_pipe = st.st_ino;
	mine->nudge_fd = n->out;
}

void art__nudges_close(struct art_nudges *n)
{
	for (int i = 0; n->to && i < n->size; i++)
		if (n->to[i] >= 0)
			close(n->to[i]);
	free(n->to);
	if (n->in >= 0) {
		close(n->in);
		close(n->out);
	}
	*n = (struct art_nudges){ .in = -1, .out = -1 };
}

static int open_pipe(pid_t pid, const struct art_arena_part *part)
{
	char path[40];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, (int)part->nudge_fd);
	fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return NEVER;
	if (fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode) && st.st_ino == part->nudge_pipe)
		return fd;
	close(fd);
	return NEVER;
}

bool art__nudge(struct art_nudges *n, int slot, pid_t pid, const struct art_arena_part *part)
{
	ssize_t sent;

	if (!n->to || n->to[slot] == NEVER || pid <= 0 || !part || !part->nudge_pipe)
		return false;
	if (n->to[slot] == NOT_YET)
		n->to[slot] = open_pipe(pid, part);
	if (n->to[slot] < 0)
		return false;
	sent = write(n->to[slot], "", 1);
	return sent == 1 || errno == EAGAIN; /* a full one wakes as well */
}

bool art__nudges_take(struct art_nudges *n)
{
	char some[64];
	ssize_t got = n->in >= 0 ? read(n->in, some, sizeof(some)) : 0;

	assert(got >= 0 || errno == EAGAIN || errno == EINTR);
	return got > 0;
}
