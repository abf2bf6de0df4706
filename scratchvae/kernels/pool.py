"""The threads that share the work of kernels: they spin for some microseconds, then sleep, and need no Python.

Thread 0 is whoever calls a kernel.  It opens a *region* of parts: it writes down what to run in the line of each other
thread, marks the part there as open, and runs part 0.  Part t is meant for thread t, which so meets the same weights
again; but whoever has nothing left to do claims any part that is open, the caller too.  So nobody waits for a thread
that is asleep, has lost its core, or could not be started.

All that two threads have to agree on is one word, the state of a part:

    OPEN -> CLAIMED -> CLAIMED DONE -> OPEN in a later region

A claim changes OPEN to CLAIMED in one atomic step, and who has claimed a part reads what to run afterwards: a thread
that comes late gets nothing, or a part of the present region.  Who goes to sleep sets a bit in the word that it waits
for (ASLEEP: the part's own thread; AWAITED: the caller), in a step that fails if what it waits for has happened.  Who
then changes the word sees the bit and releases the sleeper's lock, once.

That processors like Arm's show writes to others in another order breaks nothing: all threads see the changes of one
word in the same order; each change of a state releases (whoever reads it sees all that was written before: who claims
sees the operands, who reads DONE the results), and each read acquires.  The other words of a line are read by who has
claimed its part, and written again only when all parts are done.  SHARES alone is read before a claim: it only says
where to look.

The threads serve one Python thread at a time.  Another that calls a kernel meanwhile runs all parts itself.  They are
never ended: asleep they cost nothing, their code and their words are never freed, and they go with the process.  A
forked process has none of them, and starts its own at its first region.
"""
from .backend import BACKEND
from .threads import BODY, DATA, LINE_BYTES, LINES, LOCK, SHARES, STARTED, TAKEN

if BACKEND == "numba":
    import ctypes

    from llvmlite import binding, ir
    from numba import types
    from numba.extending import intrinsic

    from .internals import cgutils
    from .jit import device, instruction
    from .once import call

    OPEN, CLAIMED, DONE, AWAITED, ASLEEP = 0, 1, 2, 4, 8
    # Turns of waiting until a thread sleeps, 9 ns each on one processor, 50 ns on others.  A step was 13 % slower with
    # 2,000: threads fell asleep between kernels.  Who sleeps anyhow, on a core that others need too, soon waits less.
    MOST_TURNS, LEAST_TURNS = 10000, 500
    # What makes a core rest for some 40 cycles or more: LLVM's name for it, and its operands.
    PAUSES = {"x86_64": ("llvm.x86.sse2.pause",), "aarch64": ("llvm.aarch64.isb", ir.IntType(32)(15)),
              "arm64": ("llvm.aarch64.isb", ir.IntType(32)(15))}

    WORD, BYTES = ir.IntType(64), ir.IntType(8).as_pointer()
    PART = ir.FunctionType(ir.VoidType(), [BYTES, WORD])            # what runs a part: (operands, number of the part)

    # Python's own, on every system; none of them needs Python's lock to be held.
    for name in ("allocate_lock", "acquire_lock", "release_lock", "start_new_thread"):
        address = ctypes.cast(getattr(ctypes.pythonapi, f"PyThread_{name}"), ctypes.c_void_p).value
        binding.add_symbol(f"scratchvae_{name}", address)

    def _word(builder, address):
        return builder.inttoptr(address, WORD.as_pointer())

    def _call(builder, name, result, *operands):
        """Call a function by its name."""
        kind = ir.FunctionType(result, [operand.type for operand in operands])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), operands)

    @intrinsic
    def lines(typingctx):
        """The address of line 0."""
        def codegen(context, builder, signature, values):
            return builder.ptrtoint(context.get_c_value(builder, WORD, LINES), WORD)
        return types.intp(), codegen

    @instruction(types.intp(types.intp))
    def load(builder, address):
        """The word at an address."""
        return builder.load_atomic(_word(builder, address), "acquire", 8)

    @instruction(types.void(types.intp, types.intp))
    def store(builder, address, word):
        """Write a word."""
        builder.store_atomic(word, _word(builder, address), "release", 8)

    @instruction(types.intp(types.intp, types.intp))
    def exchange(builder, address, word):
        """Write a word; return the one that was there."""
        return builder.atomic_rmw("xchg", _word(builder, address), word, "acq_rel")

    @instruction(types.intp(types.intp, types.intp))
    def set_bits(builder, address, bits):
        """Set bits of a word; return the word before."""
        return builder.atomic_rmw("or", _word(builder, address), bits, "acq_rel")

    @instruction(types.boolean(types.intp, types.intp, types.intp))
    def swapped(builder, address, before, after):
        """Write `after` if the word is `before`; return whether it was."""
        return builder.extract_value(builder.cmpxchg(_word(builder, address), before, after, "acq_rel", "monotonic"), 1)

    @instruction(types.void())
    def pause(builder):
        """Let the core rest for a moment."""
        name, *operands = PAUSES.get(binding.get_process_triple().partition("-")[0], ("llvm.donothing",))
        _call(builder, name, ir.VoidType(), *operands)

    @instruction(types.intp())
    def new_lock(builder):
        """A lock, held already."""
        lock = _call(builder, "scratchvae_allocate_lock", WORD)
        _call(builder, "scratchvae_acquire_lock", ir.IntType(32), lock, ir.IntType(32)(1))
        return lock

    @instruction(types.void(types.intp))
    def acquire_lock(builder, lock):
        """Sleep until the lock is released, and hold it."""
        _call(builder, "scratchvae_acquire_lock", ir.IntType(32), lock, ir.IntType(32)(1))

    @instruction(types.void(types.intp))
    def release_lock(builder, lock):
        """Release a lock, which another thread may hold."""
        _call(builder, "scratchvae_release_lock", ir.VoidType(), lock)

    @instruction(types.void(types.intp, types.intp, types.intp))
    def run_part(builder, body, data, part):
        """Call the function at an address."""
        builder.call(builder.inttoptr(body, PART.as_pointer()), [builder.inttoptr(data, BYTES), part])

    @intrinsic
    def start_thread(typingctx, body, number):
        """Call body(number) on a new thread, or not, if the system gives no more."""
        called = body.get_call_type(typingctx, (types.intp,), {})

        def codegen(context, builder, signature, values):
            entry = ir.Function(builder.module, ir.FunctionType(ir.VoidType(), [BYTES]),
                                builder.module.get_unique_name("entry"))
            entry.linkage = "internal"
            inner = ir.IRBuilder(entry.append_basic_block())
            call(context, inner, body.dispatcher, called, [inner.ptrtoint(entry.args[0], WORD)])
            inner.ret_void()
            _call(builder, "scratchvae_start_new_thread", WORD, entry, builder.inttoptr(values[1], BYTES))
            return context.get_dummy_value()
        return types.void(body, types.intp), codegen

    @device()
    def _take_open(first, shares):
        """Run the parts that nobody has begun, from number `first` round."""
        for i in range(shares - 1):
            part = first + i if first + i < shares else first + i - shares + 1
            line = lines() + part * LINE_BYTES
            if load(line) == OPEN and swapped(line, OPEN, CLAIMED):
                run_part(load(line + BODY), load(line + DATA), part)
                if set_bits(line, DONE) & AWAITED:
                    release_lock(load(lines() + LOCK))

    @device(separate=True)
    def work(number):
        """What a thread does for ever."""
        line, turns, most = lines() + number * LINE_BYTES, 0, MOST_TURNS
        while True:
            state = load(line)
            if state == OPEN:
                _take_open(number, load(line + SHARES))
                turns, most = 0, min(2 * most, MOST_TURNS)
            elif turns < most:
                turns += 1
                pause()
            elif swapped(line, state, state | ASLEEP):
                acquire_lock(load(line + LOCK))
                turns, most = 0, max(most // 4, LEAST_TURNS)

    @device(separate=True)
    def run_parts(body, data, shares):
        """Call body(data, part) for all parts, together with the threads if they are free; return when all are done."""
        own = lines()
        if shares == 1 or not swapped(own + TAKEN, 0, 1):
            for part in range(shares):
                run_part(body, data, part)
            return
        for number in range(load(own + STARTED), shares):
            line = own + number * LINE_BYTES
            store(line + LOCK, new_lock())
            store(line, CLAIMED | DONE)
            if number:
                start_thread(work, number)
            store(own + STARTED, number + 1)
        for number in range(1, shares):
            line = own + number * LINE_BYTES
            store(line + BODY, body)
            store(line + DATA, data)
            store(line + SHARES, shares)
            if exchange(line, OPEN) & ASLEEP:
                release_lock(load(line + LOCK))
        run_part(body, data, 0)
        _take_open(shares - 1, shares)
        for number in range(1, shares):
            line, turns = own + number * LINE_BYTES, 0
            while not load(line) & DONE:
                turns += 1
                if turns < MOST_TURNS:
                    pause()
                elif not set_bits(line, AWAITED) & DONE:
                    acquire_lock(load(own + LOCK))
        store(own + TAKEN, 0)
