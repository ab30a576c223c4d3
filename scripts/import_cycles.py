"""An import-linter contract: no file imports itself, directly or through others.

``acyclic_siblings`` of import-linter compares the children of a package with one another; a package
and a module inside it that import each other pass it. Here every file is a node: imports inside
functions and for type checkers count like any other.
"""

from __future__ import annotations

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, output


class NoImportCycles(Contract):
    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        rings = import_rings(
            {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
        )
        return ContractCheck(kept=not rings, metadata={"rings": rings})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for ring in check.metadata["rings"]:
            output.print_error(f"{len(ring)} files import one another in a ring:")
            for module in ring:
                output.print_error(f"- {module}")
            output.new_line()
        output.print_error("Move what they share into a file that imports none of them.")


def import_rings(imports: dict[str, set[str]]) -> list[list[str]]:
    """The groups of modules that reach one another and themselves, smallest first.

    ``imports``: for every module, those it imports. What is no key there leads nowhere.
    """

    def reached(start: str) -> set[str]:
        found: set[str] = set()
        ahead = [start]
        while ahead:
            fresh = imports.get(ahead.pop(), set()) - found
            found |= fresh
            ahead += fresh
        return found

    reach = {module: reached(module) for module in imports}
    rings = {
        tuple(sorted(other for other in reach[module] if module in reach.get(other, ())))
        for module in imports
        if module in reach[module]
    }
    return [list(ring) for ring in sorted(rings, key=lambda ring: (len(ring), ring))]
