"""Lines of QEMU's log (-d in_asm,exec,nochain), as benchmarks/count_instructions.c reads them."""

NOP, CALL = "d503201f", "d63f0020"


def listed(*addresses, words=()):
    """A block of instructions, which is listed before it is executed the first time; without `words` all do nothing."""
    lines = zip(addresses, words or [NOP] * len(addresses))
    return "----------------\nIN: \n" + "".join(f"0x{each}:  {word}  nop      \n" for each, word in lines) + "\n"


def executed(host, address):
    """That the block at `address`, whose translation is at `host`, is executed once."""
    return f"Trace 0: {host} [0000000001009331/000000{address}/00000001/00000200] name\n"
