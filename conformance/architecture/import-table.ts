// Reads the list under "## Allowed imports" of ARCHITECTURE.md: which unit may import which.

/** Names of units (`protocol`, `connector/session`) and the names that each may import. */
export type ImportTable = ReadonlyMap<string, ReadonlySet<string>>

/**
 * An item is `- names: names` with every name in backticks; words outside backticks are for readers.
 * An item may name several units, and a name may occur in several items: the rights add up.
 * @throws Error when there is no such section, or no item in it.
 */
export function readImportTable(page: string): ImportTable {
  const section = /^## Allowed imports$([\s\S]*?)(?=^## |(?![\s\S]))/m.exec(page)?.[1]
  if (section === undefined) throw new Error('ARCHITECTURE.md has no section "## Allowed imports".')
  const table = new Map<string, Set<string>>()
  // An item ends at the next one, or at a blank line.
  for (const [item] of section.matchAll(/^- .*(?:\n(?!- ).+)*/gm)) {
    const [from = '', to = ''] = item.split(':')
    for (const unit of namesIn(from)) {
      const allowed = table.get(unit) ?? new Set()
      for (const name of namesIn(to)) allowed.add(name)
      table.set(unit, allowed)
    }
  }
  if (table.size === 0) throw new Error('The section "## Allowed imports" of ARCHITECTURE.md has no items.')
  return table
}

function namesIn(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map((match) => match[1]!)
}
