// Matches names against patterns in which `*` stands for any characters.

/** A pattern: the strings between its asterisks. */
export type Glob = readonly string[]

/** Reads a pattern. Only `*` is special; several `*` in a row have the same meaning as one `*`. */
export function globOf(text: string): Glob {
  return text.split(/\*+/)
}

/**
 * Whether the whole text matches: the first part at the start, the last at the end, the others in between in order.
 * Takes bounded time. A regular expression with many asterisks would backtrack over every split of a string that the
 * client chooses.
 */
export function matchesGlob(glob: Glob, text: string): boolean {
  const first = glob[0]!
  if (glob.length === 1) return text === first
  const last = glob[glob.length - 1]!
  const end = text.length - last.length
  if (!text.startsWith(first) || !text.endsWith(last)) return false
  let from = first.length
  for (let index = 1; index < glob.length - 1; index++) {
    const found = text.indexOf(glob[index]!, from)
    if (found === -1) return false
    from = found + glob[index]!.length
  }
  return from <= end
}
