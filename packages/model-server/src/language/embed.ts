// Turns text into a vector of hashed character n-grams: a toy, but similar spellings give similar vectors.

/** Number of dimensions. */
export const EMBEDDING_DIMENSIONS = 256

const LENGTHS = [2, 3]

/**
 * Counts, for each dimension, the n-grams of 2 and 3 characters that are hashed to it, and scales the vector to length
 * 1. Upper and lower case, and different white space, make no difference. The vector depends on the spelling only, not
 * on the meaning.
 */
export function embedText(text: string): Float32Array {
  const counts = new Float32Array(EMBEDDING_DIMENSIONS)
  const characters = Array.from(` ${text.toLowerCase().replace(/\s+/g, ' ').trim()} `)
  for (const length of LENGTHS) {
    for (let start = 0; start + length <= characters.length; start++) {
      const hash = fnv1a(characters.slice(start, start + length).join(''))
      // The lowest bit chooses the sign, so that collisions cancel out on average.
      counts[(hash >>> 1) % EMBEDDING_DIMENSIONS]! += hash & 1 ? 1 : -1
    }
  }
  const norm = Math.hypot(...counts)
  if (norm > 0) return counts.map((count) => count / norm)
  // All counts may cancel out, but a vector of zeros would have no direction.
  counts[0] = 1
  return counts
}

function fnv1a(text: string): number {
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0
  return hash
}
