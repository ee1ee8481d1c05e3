// Logic with three values: whether something matches, or which part of it cannot be judged.

/** True, false, or the name of a field that cannot be judged. */
export type Match = boolean | string

/** Whether all match; a single false decides. True for an empty list. */
export function allOf(matches: readonly Match[]): Match {
  if (matches.includes(false)) return false
  return matches.find((match) => typeof match === 'string') ?? true
}

/** Whether one matches; a single true decides. False for an empty list. */
export function anyOf(matches: readonly Match[]): Match {
  if (matches.includes(true)) return true
  return matches.find((match) => typeof match === 'string') ?? false
}

/** The opposite. */
export function notOf(match: Match): Match {
  return typeof match === 'string' ? match : !match
}
