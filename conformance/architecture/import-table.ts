// Reads the list under "## Allowed imports" of ARCHITECTURE.md: which unit may import which other units.

/** Maps the name of each unit (`protocol`, `connector/session`) to the names of the units that it may import. */
export type ImportTable = ReadonlyMap<string, ReadonlySet<string>>

/**
 * Reads the table from the text of ARCHITECTURE.md. An item has the form `- names: names`, with every name in
 * backticks; words outside backticks are for readers. An item may name several units. A unit that several items name
 * may import everything that any of these items allows.
 * @throws Error if there is no such section, or if it has no items
 */
export function readImportTable(page: string): ImportTable {
  const section = /^## Allowed imports$([\s\S]*?)(?=^## |(?![\s\S]))/m.exec(page)?.[1]
  if (section === undefined) throw new Error('ARCHITECTURE.md has no section "## Allowed imports".')
  const table = new Map<string, Set<string>>()
  // An item ends at the next item or at a blank line.
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
