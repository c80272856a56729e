/*
 * The queue's order of steps: accept, adopt, deliver. Two writers with a directory each, two adopters; any of them may
 * be paused between any two steps (interleaving), suspected while it lives, or killed anywhere by the reaper, which
 * takes the power of a writer's machine with it.
 *
 * Safety by order (docs/durability.md): a writer appends, syncs, reads `owner`, and only then acknowledges; an adopter
 * overwrites `owner` and only then reads the segments. Checked when nothing can move any more: what
 * was acknowledged was delivered, for one adopter is always left. With DOUBLES, checked at every delivery instead: no
 * message goes out more often than once, and once more for each intent that was found without a result. (Both at once
 * have too many states.)
 *
 * Wrong orders, each a macro, must make the check fail:
 *   ACK_BEFORE_SYNC, CHECK_BEFORE_SYNC, NO_CHECK, READ_BEFORE_OWNER, FORGET_ADOPTED, with DOUBLES UNCOUNTED_INTENT.
 */
#ifdef DOUBLES
#define FIRST 1    /* messages of writer 0 */
#else
#define FIRST 2
#endif
#define ALL (FIRST + 1) /* writer 1 has the last one */

byte owner[2];                 /* the owner blocks: 0 and 1 are writers, 2 and 3 adopters */
byte appended[2];              /* records in a writer's log */
byte seen[2];                  /* how many of them the adopter that owns the directory has read */
byte synced[2];                /* those that survive a power cut */
bool acknowledged[ALL];
byte delivered[ALL];
bool intent[ALL];              /* an INTENT without its RESULT, in somebody's log */
bool result[ALL];
byte counted[ALL];             /* possible duplicates that somebody found */
bool dead[4];
bool buried[2];                /* all delivered, and out of the way: nobody looks there again */
bool suspected = false;        /* a living owner was adopted: once in a run */

#define DIRECTORY(m) ((m) / FIRST)
#define RECORD(m) ((m) % FIRST)

/*
 * One delivery: INTENT, the last look at `owner`, the final dot, the synced RESULT. Where nothing but loss is looked
 * for, pauses in between make no difference.
 */
inline deliver(m) {
#ifdef DOUBLES
    d_step {
#ifndef UNCOUNTED_INTENT
        if
        :: intent[m] -> counted[m]++
        :: else
        fi;
#endif
        intent[m] = true
    }
    if
    :: owner[DIRECTORY(m)] == me && !result[m] ->
        d_step { delivered[m]++; assert(delivered[m] <= 1 + counted[m]) }
        d_step { result[m] = true; intent[m] = false }
    :: else
    fi
#else
    d_step {
        if
        :: owner[DIRECTORY(m)] == me -> delivered[m] = 1; result[m] = true
        :: else
        fi
    }
#endif
}

#define MINE(m) (owner[me] == me && acknowledged[m] && !result[m])

proctype Writer(byte me; byte first; byte last) {
    byte n;
    bool ours;
    {
        n = first;
        do
        :: n < last ->
            appended[me] = n + 1 - first;
#ifdef CHECK_BEFORE_SYNC
            ours = (owner[me] == me);
#endif
#ifdef ACK_BEFORE_SYNC
            acknowledged[n] = true;
#endif
            synced[me] = n + 1 - first;
#ifndef CHECK_BEFORE_SYNC
            ours = (owner[me] == me);
#endif
#ifdef NO_CHECK
            ours = true;
#endif
            if
            :: ours -> acknowledged[n] = true
            :: !ours -> break /* 451, and a new incarnation, which is another writer */
            fi;
            n++
        :: n >= last -> break
        od;
        do
        :: MINE(first) -> deliver(first)
#ifndef DOUBLES
        :: last > first + 1 && MINE(first + 1) -> deliver(first + 1)
#endif
        :: else -> break
        od
        n = 0; ours = false
    } unless { dead[me] -> n = 0; ours = false }
}

#define OWNER_DIED(d) (dead[owner[d]])
#ifdef FORGET_ADOPTED
#define MAY_ADOPT(d) (owner[d] < 2 && !buried[d] && (OWNER_DIED(d) || !suspected))
#else
#define MAY_ADOPT(d) (owner[d] != me && !buried[d] && (OWNER_DIED(d) || !suspected))
#endif
#define DUE(m) (owner[DIRECTORY(m)] == me && RECORD(m) < seen[DIRECTORY(m)] && !result[m])

/* What is read is of use to the owner only: whoever lost the directory meanwhile delivers nothing of it. */
inline look(d) {
    d_step {
        if
        :: owner[d] == me -> seen[d] = synced[d]
        :: else
        fi
    }
}

/* The claim of an epoch (O_EXCL) only saves work, so it is left out: here several adopters may take one directory. */
#define LATE(d) (owner[d] == me && seen[d] < synced[d] && !buried[d])
#define GIVEN(m) (RECORD(m) >= seen[DIRECTORY(m)] || result[m])
#define FINISHED(d, first, last) (owner[d] == me && !buried[d] && seen[d] > 0 && GIVEN(first) && GIVEN(last))

inline adopt(d) {
#ifdef READ_BEFORE_OWNER
    read = synced[d];
    d_step { owner[d] = me; seen[d] = read; read = 0 }
#else
    d_step { owner[d] = me; seen[d] = 0 };
    look(d)
#endif
}

proctype Adopter(byte me) {
#ifdef READ_BEFORE_OWNER
    byte read;
#endif
    {
end_idle:
        do
        :: d_step { MAY_ADOPT(0) -> suspected = suspected || !OWNER_DIED(0) }; adopt(0)
        :: d_step { MAY_ADOPT(1) -> suspected = suspected || !OWNER_DIED(1) }; adopt(1)
        :: DUE(0) -> deliver(0)
        :: DUE(1) -> deliver(1)
#ifndef DOUBLES
        :: DUE(2) -> deliver(2)
#endif
#ifndef READ_BEFORE_OWNER
        :: LATE(0) -> look(0) /* what a zombie appended */
        :: LATE(1) -> look(1)
#endif
        :: d_step { FINISHED(0, 0, FIRST - 1) -> buried[0] = true }
        :: d_step { FINISHED(1, FIRST, FIRST) -> buried[1] = true }
        od
    } unless { dead[me] }
}

/* Kills, at any moment; a writer's machine dies with it: what was not synced is gone. */
proctype Reaper() {
    do
    :: d_step { !dead[0] -> dead[0] = true; appended[0] = synced[0] }
    :: d_step { !dead[1] -> dead[1] = true; appended[1] = synced[1] }
    :: d_step { !dead[2] && !dead[3] -> dead[2] = true }
    :: break
    od
}

init {
    byte m;
    atomic {
        owner[1] = 1;
        run Writer(0, 0, FIRST); run Writer(1, FIRST, ALL); run Adopter(2); run Adopter(3); run Reaper()
    }
    timeout;
    d_step {
        for (m : 0 .. ALL - 1) {
            assert(!acknowledged[m] || RECORD(m) < synced[DIRECTORY(m)]);
            assert(!acknowledged[m] || delivered[m] > 0)
        }
    }
}
