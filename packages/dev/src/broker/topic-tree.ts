// Finds the subscriptions that match a topic name, level by level (MQTT 5 §4.7).

interface Node<Entry> {
  readonly children: Map<string, Node<Entry>>
  readonly entries: Set<Entry>
}

/** Entries under topic filters. Filters are valid, and without `$share/{ShareName}/`. */
export class TopicTree<Entry> {
  readonly #root: Node<Entry> = { children: new Map(), entries: new Set() }

  add(filter: string, entry: Entry): void {
    let node = this.#root
    for (const level of filter.split('/')) {
      let child = node.children.get(level)
      if (child === undefined) {
        child = { children: new Map(), entries: new Set() }
        node.children.set(level, child)
      }
      node = child
    }
    node.entries.add(entry)
  }

  /** Does nothing when it is not there. */
  delete(filter: string, entry: Entry): void {
    deleteBelow(this.#root, filter.split('/'), 0, entry)
  }

  /** Every entry whose filter matches the topic name. */
  match(topic: string): Entry[] {
    const found: Entry[] = []
    const levels = topic.split('/')
    collect(this.#root, levels, 0, found)
    return found
  }
}

// Returns whether the node is empty now.
function deleteBelow<Entry>(
  node: Node<Entry>,
  levels: readonly string[],
  index: number,
  entry: Entry,
): boolean {
  const level = levels[index]
  if (level === undefined) {
    node.entries.delete(entry)
  } else {
    const child = node.children.get(level)
    if (child !== undefined && deleteBelow(child, levels, index + 1, entry)) node.children.delete(level)
  }
  return node.entries.size === 0 && node.children.size === 0
}

// The recursion is as deep as the topic has levels; the packet checks bound them.
function collect<Entry>(node: Node<Entry>, levels: readonly string[], index: number, found: Entry[]): void {
  const level = levels[index]
  // MQTT 5 [MQTT-4.7.2-1]: a wildcard at the beginning does not match a topic that begins with `$`.
  const areWildcardsTaken = index > 0 || level?.startsWith('$') !== true
  if (areWildcardsTaken) {
    // Also the level above: `a/#` matches `a` (§4.7.1.2).
    for (const entry of node.children.get('#')?.entries ?? []) found.push(entry)
  }
  if (level === undefined) {
    for (const entry of node.entries) found.push(entry)
    return
  }
  const exact = node.children.get(level)
  if (exact !== undefined) collect(exact, levels, index + 1, found)
  const any = areWildcardsTaken ? node.children.get('+') : undefined
  if (any !== undefined) collect(any, levels, index + 1, found)
}
