// Reads the table under "## Import table" of ARCHITECTURE.md: who may import whom.

/** Names of units (`protocol`, `connector/session`) and the names that each may import. */
export type ImportTable = ReadonlyMap<string, ReadonlySet<string>>

/**
 * A row is `| names | names |` with every name in backticks; words outside backticks are for readers.
 * A row may name several units, and a name may occur in several rows: the rights add up.
 * @throws Error when there is no such section, or no row in it.
 */
export function readImportTable(page: string): ImportTable {
  const section = /^## Import table$([\s\S]*?)(?=^## |(?![\s\S]))/m.exec(page)?.[1]
  if (section === undefined) throw new Error('ARCHITECTURE.md has no section "## Import table".')
  const table = new Map<string, Set<string>>()
  for (const line of section.split('\n')) {
    const [, from, to] = line.split('|')
    if (from === undefined || to === undefined) continue
    for (const unit of namesIn(from)) {
      const allowed = table.get(unit) ?? new Set()
      for (const name of namesIn(to)) allowed.add(name)
      table.set(unit, allowed)
    }
  }
  if (table.size === 0) throw new Error('The import table of ARCHITECTURE.md has no rows.')
  return table
}

function namesIn(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1]!)
}
