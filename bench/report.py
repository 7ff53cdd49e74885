"""What bench/compare found, as tables in Markdown."""
import os
import statistics
import subprocess

TLS = """**STARTTLS handshakes** are not measured: Postbuch has no TLS yet."""

LEGEND = """Median (least–most) of the turns; ÷ Postfix: the ratios in the same turn.
CPU: of all the server's processes, for a message (rcpt/s: for a recipient); MB: PSS of all of them.
"the load alone" is what sender and station do with each other: no server can seem faster. The "bare
acceptor" takes mail and does nothing but write and sync it, many messages at a time: about what this
machine allows. Syncs and system calls were counted in a turn of their own at full speed (Exim's
deliveries can't be: each begins with a setuid program, where the kernel ends the counting)."""


def number(value):
    if isinstance(value, str):
        return value
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def show(figures):
    return "   ".join(f"{number(value)} {name}" for name, value in figures.items())


def machine(folder, kinds, version_of):
    with open("/proc/meminfo", encoding="ascii") as meminfo:
        memory = int(meminfo.readline().split()[1]) / 1e6
    with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
        model = next((line.partition(":")[2].strip() for line in cpuinfo
                      if line.startswith("model name")), "?")
    where = subprocess.run(["df", "--output=fstype", folder], check=True, capture_output=True,
                           text=True).stdout.split()[-1]
    versions = ", ".join(f"{kind.name} {version_of(kind)}" for kind in kinds if version_of(kind))
    return (f"{os.cpu_count()} cores ({model}), {memory:.0f} GB, {where}, Linux "
            f"{os.uname().release}, load average {os.getloadavg()[0]:.1f}; {versions}")


def cell(values):
    if not values:
        return "–"
    if isinstance(values[-1], str):
        return values[-1]
    spread = f" ({number(min(values))}–{number(max(values))})" if len(values) > 1 else ""
    return number(statistics.median(values)) + spread


def ratio(figure, ours, theirs):
    """Turn by turn, since the machine drifts between turns."""
    ratios = [run[figure] / theirs[turn][figure] for turn, run in ours.items()
              if theirs.get(turn, {}).get(figure)]
    return cell(ratios)


def table(work, kinds, results):
    """`results`: by the server's name its figures, by turn."""
    figures = list(dict.fromkeys(figure for kind in kinds for run in results[kind.name].values()
                                 for figure in run))
    theirs = results.get("Postfix", {})
    compared = [figure for figure in work.compared if theirs]
    heads = [head for figure in figures
             for head in ([figure, "÷ Postfix"] if figure in compared else [figure])]
    lines = [f"### {work.title}", "", "| | " + " | ".join(heads) + " |",
             "|---|" + "---:|" * len(heads)]
    for kind in kinds:
        runs, cells = results[kind.name], []
        for figure in figures:
            cells.append(cell([run[figure] for run in runs.values() if figure in run]))
            if figure in compared:
                cells.append("1" if kind.name == "Postfix" else ratio(figure, runs, theirs))
        lines.append(f"| {kind.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def document(machine_text, command, tables):
    """`machine_text`: what machine() said before the works began."""
    return "\n\n".join(["## Measured", f"`{command}` on {machine_text}.", LEGEND] + tables
                       + [TLS]) + "\n"
