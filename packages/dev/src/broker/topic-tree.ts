// A tree of topic levels that finds the filters for a topic name, and the topic names for a filter (MQTT 5 §4.7).

interface Node<Entry> {
  readonly children: Map<string, Node<Entry>>
  readonly entries: Set<Entry>
}

// The measured size of a node and its two collections, in bytes.
const NODE_BYTES = 400

/** Estimates the memory, in bytes, that a filter or topic name needs if it shares no level with others. */
export function treeBytes(filter: string): number {
  return filter.length + filter.split('/').length * NODE_BYTES
}

/**
 * A map from topic filters or topic names to entries. The keys must be valid, and must not contain
 * `$share/{ShareName}/`.
 */
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

  /** Removes an entry. Does nothing if there is no such entry. */
  delete(filter: string, entry: Entry): void {
    deleteBelow(this.#root, filter.split('/'), 0, entry)
  }

  /** Returns every entry whose filter matches the topic name. */
  match(topic: string): Entry[] {
    const found: Entry[] = []
    const levels = topic.split('/')
    collect(this.#root, levels, 0, found)
    return found
  }

  /**
   * Yields every entry whose topic name matches the filter. In addition, yields undefined once for each step of the
   * search, so that the caller can interrupt it. The tree may change during the search.
   */
  *matchedBy(filter: string): Generator<Entry | undefined, void> {
    yield* walk(this.#root, filter.split('/'))
  }
}

// Removes an entry below a node, and returns whether the node is now empty.
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

// The recursion is at most as deep as the number of topic levels, which `check-packet.ts` limits.
function collect<Entry>(node: Node<Entry>, levels: readonly string[], index: number, found: Entry[]): void {
  const level = levels[index]
  // MQTT 5 [MQTT-4.7.2-1]: a wildcard at the beginning does not match a topic that begins with `$`.
  const mayUseWildcards = index > 0 || level?.startsWith('$') !== true
  if (mayUseWildcards) {
    // `#` also matches the parent level: `a/#` matches `a` (§4.7.1.2).
    for (const entry of node.children.get('#')?.entries ?? []) found.push(entry)
  }
  if (level === undefined) {
    for (const entry of node.entries) found.push(entry)
    return
  }
  const exact = node.children.get(level)
  if (exact !== undefined) collect(exact, levels, index + 1, found)
  const any = mayUseWildcards ? node.children.get('+') : undefined
  if (any !== undefined) collect(any, levels, index + 1, found)
}

interface Step<Entry> {
  readonly node: Node<Entry>
  readonly index: number
}

// This generator is not recursive. If it were, each value would pass through up to 200 nested generators.
function* walk<Entry>(root: Node<Entry>, levels: readonly string[]): Generator<Entry | undefined, void> {
  const path: Iterator<Step<Entry>>[] = [[{ node: root, index: 0 }].values()]
  for (let steps = path.at(-1); steps !== undefined; steps = path.at(-1)) {
    const step = steps.next()
    if (step.done === true) {
      path.pop()
      continue
    }
    yield undefined
    const { node, index } = step.value
    // `#` also matches the parent level (§4.7.1.2).
    const isHash = levels[Math.min(index, levels.length - 1)] === '#' && index >= levels.length - 1
    if (index === levels.length || isHash) yield* node.entries
    if (index < levels.length || isHash) path.push(stepsBelow(node, levels, index))
  }
}

function* stepsBelow<Entry>(
  { children }: Node<Entry>,
  levels: readonly string[],
  index: number,
): Generator<Step<Entry>, void> {
  const last = levels.length - 1
  const level = levels[Math.min(index, last)]
  if (level !== '+' && level !== '#') {
    const node = level === undefined ? undefined : children.get(level)
    if (node !== undefined) yield { node, index: index + 1 }
    return
  }
  for (const [name, node] of children) {
    // MQTT 5 [MQTT-4.7.2-1]: a wildcard at the beginning does not match a topic that begins with `$`. `#` matches
    // all levels below.
    if (index > 0 || !name.startsWith('$')) yield { node, index: index + 1 }
  }
}
