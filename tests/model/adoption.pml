/*
 * Who takes over whom, and who hands on what: claims, chains of adopters, and shares. One dead process W left two
 * messages; of three that watch, A and B may be paused between any two steps (interleaving), killed anywhere, and be
 * taken for dead while they live; C always lives.
 *
 * A process looks at its own block only before it does anything for others: one block fences all that leads to it. So
 * no two of them may serve the same message, as long as neither could know that it was taken over (checked at every
 * delivery); and when nothing can move any more, both messages were delivered. How one message is accepted and
 * delivered, and what a machine forgets, is in queue.pml.
 *
 * DOUBTS is how often somebody living is taken for dead; KEEP_ALL leaves out that an heir hands one message on.
 *
 * Wrong orders, each a macro, must make the check fail:
 *   NO_CLAIM, PASS_OVER_LIVING, NEVER_PASS_OVER, NO_LOOK, ROOT_ONLY,
 *   DONE_BEFORE_COPY, RELEASE_BEFORE_DONE, ALONE_AT_ONCE.
 * And so must what docs/durability.md names as not promised:
 *   PAUSED_RELEASE: a pause between the look and the release of a share makes a second copy;
 *   ELSEWHERE: two that die on other machines over claims of each other are waited for for ever.
 */
#ifndef DOUBTS
#define DOUBTS 1
#endif
#define W 0 /* directories, and the processes that own them; S is the share */
#define A 1
#define B 2
#define C 3
#define S 4

byte owner[5];                 /* the owner blocks */
byte epoch[5];
byte last[5];                  /* the greatest epoch that was claimed, and by whom */
byte claimer[5];
bool dead[5];
byte taken[5];                 /* what each serves: a bit for each directory */
byte items[5];                 /* and of that: 1 and 2 are W's messages, 4 the copy of the second one in S */
bool shared;                   /* somebody began to hand on: once in a run */
bool made;                     /* the share is there */
bool done;                     /* DONE for its original is in the log of the sharer */
byte sharer;
bool result[2];
byte doubts = DOUBTS;               /* how often somebody living is taken for dead */

#define BIT(d) (1 << (d))
#define UP(d) (owner[owner[owner[owner[d]]]])
/* Only A and B can lead to each other, and then the first of them is the root. */
#define ROOT(d) (owner[UP(d)] == UP(d) -> UP(d) : A)
#define OURS (owner[me] == me)
#define THERE(d) ((d) != S || made)

#define GONE(d) (dead[d] || (d) == W || (d) == S || owner[d] != (d))
#define DOUBTED(d) (doubts > 0 && ((d) == A || (d) == B))
#ifdef ELSEWHERE
#define ENDED(d) false
#else
#define ENDED(d) dead[d]
#endif
#define ABANDONED(d) (ROOT(claimer[d]) == (d) || ROOT(claimer[d]) == me || ENDED(claimer[d]))
#ifdef NO_CLAIM
#define FREE(d) true
#else
#ifdef PASS_OVER_LIVING
#define FREE(d) true
#else
#ifdef NEVER_PASS_OVER
#define FREE(d) (last[d] <= epoch[d])
#else
#define FREE(d) (last[d] <= epoch[d] || ABANDONED(d))
#endif
#endif
#endif
#define MAY_CLAIM(d) (OURS && THERE(d) && (d) != me && ROOT(d) == (d) && (GONE(d) || DOUBTED(d)) && FREE(d))

#ifdef ROOT_ONLY
#define LEADS_HERE(d) (owner[d] == me && GONE(d) && !(taken[d] > 0))
#else
#define LEADS_HERE(d) (ROOT(d) == me)
#endif
#define TO_GATHER(d) (OURS && THERE(d) && (d) != me && !(taken[me] & BIT(d)) && !(fresh & BIT(d)) && LEADS_HERE(d))

inline copy() { d_step { made = true; owner[S] = me } }
inline void_original() {
    d_step {
        if
        :: OURS -> done = true; sharer = me
        :: else
        fi
    }
}
inline release() {
#ifdef PAUSED_RELEASE
    if
    :: OURS -> d_step { owner[S] = S; epoch[S] = epoch[S] + 1 }
    :: else
    fi
#else
    d_step {
        if
        :: OURS -> owner[S] = S; epoch[S] = epoch[S] + 1
        :: else
        fi
    }
#endif
}

inline hand_on() {
#ifdef DONE_BEFORE_COPY
    void_original(); copy(); release();
#else
#ifdef RELEASE_BEFORE_DONE
    copy(); release(); void_original();
#else
#ifdef ALONE_AT_ONCE
    d_step { made = true; owner[S] = S; epoch[S] = 1 }
    void_original();
#else
    copy(); void_original(); release();
#endif
#endif
#endif
    handing = false
}

#ifdef KEEP_ALL
#define MAY_SHARE false
#else
#define MAY_SHARE (!shared && me != C)
#endif
#define IN_GROUP(d) ((d) == me || ((taken[me] | fresh) & BIT(d)))
#define VOID ((made && IN_GROUP(S)) || (done && IN_GROUP(sharer)))
#define TAKE(d) \
    if \
    :: TO_GATHER(d) -> fresh = fresh | BIT(d); owner[d] = me \
    :: else \
    fi

/*
 * Our name on all that leads to us; then the logs of that: what is final, what was moved, what is ours to serve. A look
 * at ourselves is between reading and serving: ADOPT in our own log, synced and checked like mail.
 */
inline take() {
    d_step {
        TAKE(W); TAKE(A); TAKE(B); TAKE(S);
        if
        :: fresh & BIT(W) -> read = (result[0] -> 0 : 1) | (result[1] || VOID -> 0 : 2)
        :: else
        fi;
        if
        :: fresh & BIT(S) -> read = read | (result[1] -> 0 : 4)
        :: else
        fi
    }
    d_step {
        if
        :: !OURS
        :: else ->
            taken[me] = taken[me] | fresh;
            if
            :: (read & 2) && MAY_SHARE -> /* nobody serves it meanwhile */
                handing = true; shared = true; read = read & 5
            :: else
            fi;
            items[me] = items[me] | read
        fi;
        fresh = 0; read = 0
    }
    if
    :: handing -> hand_on()
    :: else
    fi
}

/* What is seen of the blocks and claims, then a name that only one can make, a look at ourselves, the block. */
inline claim(d) {
    d_step {
        MAY_CLAIM(d) ->
        if
        :: !GONE(d) -> doubts--
        :: else
        fi;
        reached = (last[d] > epoch[d] -> last[d] : epoch[d])
    }
    d_step {
        if
#ifndef NO_CLAIM
        :: last[d] > reached -> reached = 255 /* somebody was faster */
#endif
        :: else -> last[d] = reached + 1; claimer[d] = me
        fi
    }
    if
    :: reached != 255 && OURS ->
        d_step { owner[d] = me; epoch[d] = reached + 1; reached = 0 }
        take()
    :: else -> reached = 0
    fi
}

#define SERVES(x, bits) ((x) != me && !dead[x] && owner[x] == (x) && (items[x] & (bits)))
#define ALONE(bits) (!SERVES(A, bits) && !SERVES(B, bits) && !SERVES(C, bits))

#ifdef NO_LOOK
#define LOOK true
#else
#define LOOK OURS
#endif

inline deliver(message, bits) {
    d_step {
        LOOK && (items[me] & (bits)) && !result[message] ->
        assert(ALONE(bits));
        result[message] = true
    }
}

proctype Watcher(byte me) {
    byte reached, fresh, read;
    bool handing;
    {
end_idle:
        do
        :: claim(W)
        :: claim(A)
        :: claim(B)
        :: claim(S)
        :: TO_GATHER(W) || TO_GATHER(A) || TO_GATHER(B) || TO_GATHER(S) -> take() /* cut short, or given by a zombie */
        :: deliver(0, 1)
        :: deliver(1, 6)
        od
    } unless { dead[me] -> reached = 0; fresh = 0; read = 0; handing = false }
}

proctype Reaper() {
    do
    :: !dead[A] -> dead[A] = true
    :: !dead[B] -> dead[B] = true
    :: break
    od
}

init {
    atomic {
        owner[A] = A; owner[B] = B; owner[C] = C; owner[S] = S; dead[W] = true;
        run Watcher(A); run Watcher(B); run Watcher(C); run Reaper()
    }
    timeout;
    assert(result[0] && result[1])
}
