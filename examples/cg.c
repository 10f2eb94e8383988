/* SPDX-License-Identifier: MIT
 *
 * Conjugate gradient for a Poisson equation in three dimensions, on ranks that may die on the way.
 *
 *     artrun -n 6 ./cg --n 64 --pids --pause 40     then kill a rank, and press Enter
 *
 * Solved is -div grad u = f in the unit cube, u = 0 on its faces, with the usual 7-point stencil on
 * n x n x n inner points. f is made from a known u of degree 3 in each direction, for which the
 * stencil is exact: so what differs from u in the end is the solver's error and nothing else.
 *
 * How it works with ranks that die, in four steps:
 *
 *  1. The grid is cut into slabs of whole planes, one for each *live* rank, in the order of ranks.
 *     Who has which planes is computed from the set of live ranks; nobody sends it. divide()
 *  2. All that ranks tell each other are sums: dot products, and the boundary planes, which
 *     everybody puts into its own place of an array that is zero elsewhere. add_up()
 *  3. Every few iterations the iterate goes the same way, so that each rank has the whole of it, as
 *     of one and the same iteration. keep()
 *  4. Each sum says whose contributions are in it, the same at every survivor. If a rank is missing
 *     there, all survivors notice in the same sum. They throw away what they have, cut the grid
 *     anew and go on from the iterate that was kept. attempt() returns false, and main() loops.
 *
 * A rank that dies while the others recover is no special case: another sum, another turn.
 *
 * For more than an example: the planes go to everybody here, and each rank has room for two whole
 * iterates. That takes the loss of all ranks but one; a copy at one neighbour would need less room.
 */
#include <art/art.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct cg {
	int rank, size; /* who we are, and how many ranks the job started with */
	int n;          /* inner points in each direction */
	int most;       /* iterations at most */
	int every;      /* the iterate is kept every so many iterations */
	int pause;      /* rank 0 waits for a line of input after this iteration; 0: never */
	double tolerance; /* of the residual's norm, relative to that of the right-hand side */
	bool pids, quiet;

	bool *live; /* [size] contributors of the last sum */
	int nlive;

	/* Of the present division: our place among the live ranks, our planes, and our part of the
	 * vectors. p has a plane more at both ends, for the neighbours' boundary planes. */
	int place, first, planes;
	double *x, *r, *q, *p;
	double *faces; /* [2 nlive planes] first and last plane of each slab */

	double *kept, *next; /* [n^3] the whole iterate, and where the next one is collected */
	int kept_at;         /* its iteration */

	int iteration, restarts;
	double rr, bb; /* squares of the norms of residual and right-hand side */
};

/* An error that the program cannot repair ends the whole job, with one line that says why. */
static void die(const char *what, const char *why)
{
	fprintf(stderr, "cg: %s: %s\n", what, why);
	art_abort(ART_COMM_WORLD, 1);
	_exit(1);
}

static void must(int code, const char *what)
{
	if (code != ART_SUCCESS)
		die(what, art_strerror(code));
}

static double *new_vector(size_t n)
{
	double *v = calloc(n, sizeof(*v));

	if (!v)
		die("memory", strerror(ENOMEM));
	return v;
}

static size_t plane(const struct cg *g)
{
	return (size_t)g->n * (size_t)g->n;
}

/* ---- the problem ---- */

/* The solution is u(x,y,z) = c(x) c(y) c(z) with c(t) = t - t^3, so c'' = -6t. */
static double c(double t)
{
	return t - t * t * t;
}

/* Coordinate of point i: those of the faces are -1 and n. */
static double at(const struct cg *g, int i)
{
	return (i + 1.0) / (g->n + 1.0);
}

static double solution(const struct cg *g, int i, int j, int k)
{
	return c(at(g, i)) * c(at(g, j)) * c(at(g, k));
}

/* h^2 f: the stencil below is h^2 times the operator. */
static double right_side(const struct cg *g, int i, int j, int k)
{
	double x = at(g, i), y = at(g, j), z = at(g, k), h = 1.0 / (g->n + 1.0);

	return 6 * h * h * (x * c(y) * c(z) + y * c(x) * c(z) + z * c(x) * c(y));
}

/* out = A v on some planes. v has one more at both ends; beyond the other faces it is 0. */
static void apply(const struct cg *g, const double *v, double *out, int planes)
{
	const int n = g->n;
	const size_t size = plane(g);

	for (int k = 0; k < planes; k++)
		for (int j = 0; j < n; j++)
			for (int i = 0; i < n; i++) {
				size_t o = (size_t)k * size + (size_t)j * (size_t)n + (size_t)i;
				const double *a = v + size + o;
				double sum = a[-(ptrdiff_t)size] + a[size];

				sum += i > 0 ? a[-1] : 0;
				sum += i < n - 1 ? a[1] : 0;
				sum += j > 0 ? a[-n] : 0;
				sum += j < n - 1 ? a[n] : 0;
				out[o] = 6 * *a - sum;
			}
}

/* ---- sums over all ranks, and who is in them ---- */

static int lowest_live(const struct cg *g)
{
	int r = 0;

	while (r < g->rank && !g->live[r])
		r++; /* at the latest it is us */
	return r;
}

/* The one place where losses are noticed. True: everybody is in the last sum who was in the one
 * before. False, at every survivor alike: somebody is not. */
static bool all_there(struct cg *g)
{
	char lost[100] = "";
	art_status_t status;
	int count, yes;

	must(art_last_status(ART_COMM_WORLD, &status), "status");
	must(art_status_contributors(&status, &count), "status");
	if (count == g->nlive)
		return true;
	for (int r = 0; r < g->size; r++) {
		size_t n = strlen(lost);

		must(art_status_contributed(&status, r, &yes), "status");
		if (g->live[r] && !yes)
			snprintf(lost + n, sizeof(lost) - n, " %d", r);
		g->live[r] = yes;
	}
	g->nlive = count;
	if (!g->quiet && g->rank == lowest_live(g))
		fprintf(stderr, "cg: lost after iteration %d:%s\n", g->iteration, lost);
	return false;
}

static bool add_up(struct cg *g, double *v, size_t n, const char *what)
{
	must(art_allreduce(ART_IN_PLACE, v, n, ART_DOUBLE, ART_SUM, ART_COMM_WORLD), what);
	return all_there(g);
}

static bool dot(struct cg *g, const double *a, const double *b, double *sum)
{
	size_t n = (size_t)g->planes * plane(g);

	*sum = 0;
	for (size_t i = 0; i < n; i++)
		*sum += a[i] * b[i];
	return add_up(g, sum, 1, "a dot product");
}

/* The neighbours' boundary planes of p. */
static bool exchange(struct cg *g)
{
	size_t size = plane(g), bytes = size * sizeof(double), n = 2 * (size_t)g->nlive * size;
	double *mine = g->faces + 2 * (size_t)g->place * size;
	double *last = g->p + (size_t)g->planes * size;

	memset(g->faces, 0, n * sizeof(double));
	memcpy(mine, g->p + size, bytes);
	memcpy(mine + size, last, bytes);
	if (!add_up(g, g->faces, n, "the boundary planes"))
		return false;
	if (g->place > 0)
		memcpy(g->p, mine - size, bytes);
	if (g->place < g->nlive - 1)
		memcpy(last + size, mine + 2 * size, bytes);
	return true;
}

/* ---- the iterate that all have ---- */

/* Replaces the kept iterate by the present one, if all agree that it is whole. */
static bool keep(struct cg *g)
{
	size_t size = plane(g);
	double *old = g->kept;

	memset(g->next, 0, (size_t)g->n * size * sizeof(double));
	memcpy(g->next + (size_t)g->first * size, g->x, (size_t)g->planes * size * sizeof(double));
	if (!add_up(g, g->next, (size_t)g->n * size, "an iterate"))
		return false;
	g->kept = g->next;
	g->next = old;
	g->kept_at = g->iteration;
	return true;
}

/* Cuts the grid for those who are live. */
static void divide(struct cg *g)
{
	size_t size = plane(g), inner;

	g->place = 0;
	for (int r = 0; r < g->rank; r++)
		g->place += g->live[r];
	g->first = g->n * g->place / g->nlive;
	g->planes = g->n * (g->place + 1) / g->nlive - g->first;
	inner = (size_t)g->planes * size;
	free(g->x), free(g->r), free(g->q), free(g->p), free(g->faces);
	g->x = new_vector(inner);
	g->r = new_vector(inner);
	g->q = new_vector(inner);
	g->p = new_vector(inner + 2 * size);
	g->faces = new_vector(2 * (size_t)g->nlive * size);
}

/* Starts from the kept iterate: x, r = b - A x, p = r. */
static bool load(struct cg *g)
{
	size_t size = plane(g), inner = (size_t)g->planes * size;
	double *x = g->kept + (size_t)g->first * size, norms[2] = { 0, 0 };

	g->iteration = g->kept_at;
	memcpy(g->x, x, inner * sizeof(double));
	memcpy(g->p + size, x, inner * sizeof(double));
	if (g->first > 0)
		memcpy(g->p, x - size, size * sizeof(double));
	if (g->first + g->planes < g->n)
		memcpy(g->p + size + inner, x + inner, size * sizeof(double));
	apply(g, g->p, g->q, g->planes);
	for (size_t o = 0; o < inner; o++) {
		int i = (int)(o % (size_t)g->n), j = (int)(o / (size_t)g->n % (size_t)g->n);
		double b = right_side(g, i, j, g->first + (int)(o / size));

		g->r[o] = b - g->q[o];
		norms[0] += g->r[o] * g->r[o];
		norms[1] += b * b;
	}
	memset(g->p, 0, (inner + 2 * size) * sizeof(double));
	memcpy(g->p + size, g->r, inner * sizeof(double));
	if (!add_up(g, norms, 2, "the first residual"))
		return false;
	g->rr = norms[0];
	g->bb = norms[1];
	return true;
}

/* ---- the method ---- */

static void progress(struct cg *g)
{
	if (!g->quiet && g->rank == lowest_live(g) && g->iteration % g->every == 0)
		fprintf(stderr, "cg: iteration %d, residual %.3e, %d ranks\n", g->iteration,
			sqrt(g->rr / g->bb), g->nlive);
	if (g->rank == 0 && g->pause > 0 && g->iteration >= g->pause) {
		fprintf(stderr, "cg: paused after iteration %d: kill a rank, then press Enter\n",
			g->iteration);
		for (int ch = 0; ch != EOF && ch != '\n';)
			ch = getchar();
		g->pause = 0;
	}
}

/* One step of conjugate gradient. False: somebody was lost. */
static bool step(struct cg *g)
{
	size_t size = plane(g), inner = (size_t)g->planes * size;
	double *p = g->p + size, pq, alpha, beta, before = g->rr;

	if (!exchange(g))
		return false;
	apply(g, g->p, g->q, g->planes);
	if (!dot(g, p, g->q, &pq))
		return false;
	alpha = g->rr / pq;
	for (size_t o = 0; o < inner; o++) {
		g->x[o] += alpha * p[o];
		g->r[o] -= alpha * g->q[o];
	}
	if (!dot(g, g->r, g->r, &g->rr))
		return false;
	beta = g->rr / before;
	for (size_t o = 0; o < inner; o++)
		p[o] = g->r[o] + beta * p[o];
	g->iteration++;
	return true;
}

/* From the kept iterate to the end, on the ranks that are live now. False: one less is. Every
 * number that a branch depends on is the result of a sum, so all ranks take the same one. */
static bool attempt(struct cg *g)
{
	divide(g);
	if (!load(g))
		return false;
	while (sqrt(g->rr / g->bb) > g->tolerance && g->iteration < g->most) {
		if (!step(g))
			return false;
		if (g->iteration % g->every == 0 && !keep(g))
			return false;
		progress(g);
	}
	return keep(g);
}

/* ---- the result ---- */

/* Each rank has the whole of it, so it is checked without the others, from the beginning: true
 * residual, and distance from the solution that the problem was made of. */
static bool check(const struct cg *g, double *residual, double *error)
{
	size_t size = plane(g);
	double *v = new_vector(((size_t)g->n + 2) * size), *w = new_vector((size_t)g->n * size);
	double rr = 0, bb = 0, ee = 0, uu = 0, condition = pow(2 * (g->n + 1.0) / M_PI, 2);

	memcpy(v + size, g->kept, (size_t)g->n * size * sizeof(double));
	apply(g, v, w, g->n);
	for (int k = 0; k < g->n; k++)
		for (int j = 0; j < g->n; j++)
			for (int i = 0; i < g->n; i++) {
				size_t o = (size_t)k * size + (size_t)j * (size_t)g->n + (size_t)i;
				double b = right_side(g, i, j, k), u = solution(g, i, j, k);

				rr += (b - w[o]) * (b - w[o]);
				bb += b * b;
				ee += (g->kept[o] - u) * (g->kept[o] - u);
				uu += u * u;
			}
	free(v);
	free(w);
	*residual = sqrt(rr / bb);
	*error = sqrt(ee / uu);
	/* |e|/|u| <= condition |r|/|b|; the last bits of r are rounding */
	return *residual <= 1.01 * g->tolerance + 1e-13 && *error <= condition * *residual + 1e-13;
}

/* The lowest live rank reports. It may die before it has: then the sum shows that nobody did, and
 * the next lowest tries. */
static bool report_once(struct cg *g)
{
	double residual, error, reported = 0;
	bool good = check(g, &residual, &error);

	while (reported == 0) {
		if (g->rank == lowest_live(g)) {
			printf("%d x %d x %d points, %d iterations, %d restarts, %d of %d ranks: "
			       "residual %.3e, error %.3e: %s\n", g->n, g->n, g->n, g->kept_at,
			       g->restarts, g->nlive, g->size, residual, error,
			       good ? "right" : "NOT within the tolerance");
			if (fflush(stdout) != 0)
				die("standard output", strerror(errno));
			reported = 1;
		}
		add_up(g, &reported, 1, "reporting");
	}
	return good;
}

/* ---- the program ---- */

static const char usage[] =
	"usage: cg [--n N] [--tolerance T] [--iterations I] [--keep K] [--pause I] [--pids] [--quiet]\n"
	"  --n N           N x N x N points, at least one plane for each rank (48)\n"
	"  --tolerance T   of the residual, relative to the right-hand side (1e-10)\n"
	"  --iterations I  at most so many (10 N)\n"
	"  --keep K        keep the iterate every K iterations (10)\n"
	"  --pause I       after iteration I rank 0 waits for a line of input\n"
	"  --pids          each rank says which process it is\n"
	"  --quiet         no progress lines\n";

static bool read_number(const char *text, double low, double high, double *out)
{
	char *end;

	*out = strtod(text, &end);
	return end != text && *end == '\0' && *out >= low && *out <= high;
}

static bool options(struct cg *g, int argc, char **argv)
{
	static const struct option known[] = {
		{ "n", required_argument, NULL, 'n' },
		{ "tolerance", required_argument, NULL, 't' },
		{ "iterations", required_argument, NULL, 'i' },
		{ "keep", required_argument, NULL, 'k' },
		{ "pause", required_argument, NULL, 'p' },
		{ "pids", no_argument, NULL, 'd' },
		{ "quiet", no_argument, NULL, 'q' },
		{ NULL, 0, NULL, 0 },
	};
	bool good = true;
	double v;
	int ch;

	while (good && (ch = getopt_long(argc, argv, "", known, NULL)) != -1)
		switch (ch) {
		case 'n': good = read_number(optarg, 2, 1000, &v); g->n = (int)v; break;
		case 't': good = read_number(optarg, 1e-13, 1, &g->tolerance); break;
		case 'i': good = read_number(optarg, 1, 1e9, &v); g->most = (int)v; break;
		case 'k': good = read_number(optarg, 1, 1e9, &v); g->every = (int)v; break;
		case 'p': good = read_number(optarg, 1, 1e9, &v); g->pause = (int)v; break;
		case 'd': g->pids = true; break;
		case 'q': g->quiet = true; break;
		default: good = false;
		}
	if (!g->most)
		g->most = 10 * g->n;
	return good && optind == argc;
}

static void set_up(struct cg *g)
{
	size_t all = (size_t)g->n * plane(g);

	must(art_comm_rank(ART_COMM_WORLD, &g->rank), "rank");
	must(art_comm_size(ART_COMM_WORLD, &g->size), "size");
	if (g->n < g->size)
		die("--n", "fewer planes than ranks");
	if (g->pids)
		fprintf(stderr, "cg: rank %d is process %d\n", g->rank, (int)getpid());
	g->live = calloc((size_t)g->size, sizeof(*g->live));
	if (!g->live)
		die("memory", strerror(ENOMEM));
	memset(g->live, true, (size_t)g->size);
	g->nlive = g->size;
	g->kept = new_vector(all);
	g->next = new_vector(all);
}

static void tear_down(struct cg *g)
{
	free(g->x), free(g->r), free(g->q), free(g->p), free(g->faces);
	free(g->kept), free(g->next), free(g->live);
}

int main(int argc, char **argv)
{
	struct cg g = { .n = 48, .every = 10, .tolerance = 1e-10 };
	bool good;
	int err;

	if (!options(&g, argc, argv)) {
		fputs(usage, stderr);
		return 2;
	}
	err = art_init(&argc, &argv);
	if (err != ART_SUCCESS)
		return 1; /* ART has said why */
	set_up(&g);
	while (!attempt(&g)) {
		g.restarts++;
		if (!g.quiet && g.rank == lowest_live(&g))
			fprintf(stderr, "cg: back to iteration %d, on %d ranks\n", g.kept_at, g.nlive);
	}
	good = report_once(&g);
	tear_down(&g);
	return art_finalize() != ART_SUCCESS || !good;
}
