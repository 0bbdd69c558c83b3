/*
 * epoch.pml - the grace period and the arena flip on explicit x86 store buffers.
 * Change it together with shm/epoch.c and shm/recovery.c; run.py checks the design
 * and that each of seven mutants is caught.
 *
 *   -DREADERS=n -DTURNS      sections; with TURNS a reader goes from one epoch to the
 *                            next without passing 0
 *   -DUPDATES=n -DWKILLS=n -DRKILLS=n     what one run may do
 *   -DMUTANT=1..7
 *       1 no barrier after entering          2 recovery does not wait for DRAINING
 *       3 slot cleared before the reader died
 *       4 no barrier from unlinking to the slot scan (either of two will do on x86)
 *       5 frees tag <= m                     6 scan loads a slot twice
 *       7 DRAINING is stored after the flip
 */
#ifndef READERS
#define READERS 1
#endif
#ifndef UPDATES
#define UPDATES 2
#endif
#ifndef WKILLS
#define WKILLS 0
#endif
#ifndef RKILLS
#define RKILLS 0
#endif
#ifndef MUTANT
#define MUTANT 0
#endif
#ifndef SECTIONS
#define SECTIONS 2
#endif

#define BLOCKS 6                 /* three in each arena */
#define ARENA(b) ((b) / 3)
#define CLEAN 0
#define FILLING 1
#define DRAINING 2

/* Addresses of shared words. */
#define A_GP 0
#define A_ROOT 1
#define A_SPARE 2
#define A_BLOCK 3                /* + block: 1 whole, 0 being overwritten */
#define A_SLOT 9                 /* + reader */
#define WORDS 11

byte mem[WORDS];
chan buffer[3] = [6] of { byte, byte };      /* reader 0, reader 1, writer */
#define W 2

bool writer_dies, reader_dies;

#define STORE(p, a, v) buffer[p]!a, v
#define MB(p) (empty(buffer[p]))

/* Memory takes the stores of each process in order, at any time. */
active proctype memory()
{
	byte a, v;
end:	do
	:: atomic { buffer[0]?a, v -> mem[a] = v; a = 0; v = 0 }
	:: atomic { buffer[1]?a, v -> mem[a] = v; a = 0; v = 0 }
	:: atomic { buffer[W]?a, v -> mem[a] = v; a = 0; v = 0 }
	od
}

active proctype killer()
{
	byte w = WKILLS, r = RKILLS;
end:	do
	:: atomic { w > 0 && !writer_dies -> w--; writer_dies = true }
	:: atomic { r > 0 && !reader_dies -> r--; reader_dies = true }
	:: break
	od
}

proctype reader(byte me)
{
	byte v, b, n, life;
life_again:
	{
		n = 0;
		do
		:: n < SECTIONS ->
			n++;
			v = mem[A_GP];
			STORE(me, A_SLOT + me, v);
#if MUTANT != 1
			MB(me);
#endif
			b = mem[A_ROOT];
			assert(mem[A_BLOCK + b] == 1);
			assert(mem[A_BLOCK + b] == 1);
#ifndef TURNS
			atomic { STORE(me, A_SLOT + me, 0); v = 0 }
#endif
		:: n == SECTIONS -> break
		od;
		atomic { STORE(me, A_SLOT + me, 0); v = 0 };
		goto done
	} unless { (me == 0 && reader_dies) };
#if MUTANT == 3
	/* The master clears first; the process lives a little longer. */
	mem[A_SLOT + me] = 0;
	assert(v == 0 || mem[A_BLOCK + b] == 1);
	MB(me); mem[A_SLOT + me] = 0;
#else
	MB(me);
	mem[A_SLOT + me] = 0;
#endif
	atomic { reader_dies = false; v = 0; b = 0 };
	if
	:: life < 1 -> life++; goto life_again
	:: else
	fi;
done:	skip
}

/* Private memory of the writer; a new one starts with none of it. */
byte g, cur, tags[BLOCKS], drain_tag, m, i, x;
bool is_free[BLOCKS], is_retired[BLOCKS], draining;

inline scan()
{
#if MUTANT != 4
	MB(W);
#endif
	m = 255; i = 0;
	do
	:: i < READERS ->
#if MUTANT == 6
		if
		:: mem[A_SLOT + i] != 0 ->
			if
			:: mem[A_SLOT + i] < m -> m = mem[A_SLOT + i]
			:: else
			fi
		:: else
		fi;
#else
		x = mem[A_SLOT + i];
		if
		:: x != 0 && x < m -> m = x
		:: else
		fi;
#endif
		i++
	:: else -> break
	od;
	i = 0; x = 0
}

#if MUTANT == 5
#define PASSED(tag) ((tag) <= m)
#else
#define PASSED(tag) ((tag) < m)
#endif

inline advance()
{
#if MUTANT != 4
	MB(W);
#endif
	g++;
	STORE(W, A_GP, g)
}

inline tick()
{
	if
	:: (is_retired[0] && tags[0] == g) || (is_retired[1] && tags[1] == g) ||
	   (is_retired[2] && tags[2] == g) || (is_retired[3] && tags[3] == g) ||
	   (is_retired[4] && tags[4] == g) || (is_retired[5] && tags[5] == g) -> advance()
	:: else
	fi;
	scan();
	do
	:: i < BLOCKS ->
		if
		:: is_retired[i] && PASSED(tags[i]) ->
			d_step { is_retired[i] = false; tags[i] = 0; is_free[i] = true }
		:: else
		fi;
		i++
	:: else -> break
	od;
	i = 0;
	if
	:: draining && PASSED(drain_tag) ->
		overwrite(1 - ARENA(cur));
		STORE(W, A_SPARE, CLEAN);
		d_step { draining = false; drain_tag = 0 }
	:: else
	fi;
	m = 0
}

/* Punching an arena out: readers there would see garbage. */
inline overwrite(arena)
{
	x = 3 * (arena);
	STORE(W, A_BLOCK + x, 0);
	STORE(W, A_BLOCK + x + 1, 0);
	STORE(W, A_BLOCK + x + 2, 0);
	x = 0
}

inline fill(b)
{
	STORE(W, A_BLOCK + b, 0);
	STORE(W, A_BLOCK + b, 1)
}

inline recover()
{
	cur = mem[A_ROOT];
	g = mem[A_GP];
#if MUTANT != 2
	if
	:: mem[A_SPARE] == DRAINING ->
		drain_tag = g;
		advance();
		do
		:: scan();
			if
			:: PASSED(drain_tag) -> break
			:: else
			fi
		od;
		drain_tag = 0
	:: else
	fi;
#endif
	STORE(W, A_SPARE, FILLING);
	overwrite(1 - ARENA(cur));
	cur = 3 * (1 - ARENA(cur));
	fill(cur);
#if MUTANT == 7
	STORE(W, A_ROOT, cur);
	STORE(W, A_SPARE, DRAINING);
#else
	STORE(W, A_SPARE, DRAINING);
	STORE(W, A_ROOT, cur);
#endif
	drain_tag = g;
	advance();
	draining = true;
	is_free[cur + 1] = true; is_free[cur + 2] = true
}

inline update()
{
	i = 3 * ARENA(cur);
	do
	:: is_free[i] -> break
	:: !is_free[i] && i < 3 * ARENA(cur) + 2 -> i++
	:: !is_free[i] && i == 3 * ARENA(cur) + 2 -> i = BLOCKS; break
	od;
	if
	:: i < BLOCKS ->
		is_free[i] = false;
		fill(i);
		STORE(W, A_ROOT, i);
		d_step { is_retired[cur] = true; tags[cur] = g; cur = i }
	:: else
	fi;
	i = 0
}

proctype writer()
{
	byte n, lives;
	bool is_second;
work:
	{
		if
		:: is_second -> recover()
		:: else
		fi;
		do
		:: n < UPDATES -> n++; update(); tick()
		:: n == UPDATES -> break
		od;
		tick();
		tick();
		goto done
	} unless { writer_dies };
	MB(W);                   /* what it stored reaches memory */
	d_step {
		i = 0;
		do
		:: i < BLOCKS -> is_free[i] = false; is_retired[i] = false; tags[i] = 0; i++
		:: else -> break
		od;
		i = 0; x = 0; m = 0; draining = false; drain_tag = 0;
		is_second = true; writer_dies = false; n = 0
	};
	goto work;
done:	skip
}

init {
	atomic {
		mem[A_GP] = 1; mem[A_ROOT] = 0; mem[A_BLOCK] = 1;
		g = 1; cur = 0; is_free[1] = true; is_free[2] = true;
		run reader(0);
#if READERS > 1
		run reader(1);
#endif
		run writer()
	}
}
