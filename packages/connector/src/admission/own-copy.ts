// Copies a part of a topic, so that it can be kept without the topic.

/**
 * Returns an equal string with memory of its own. V8 may store a level of a topic as a view of the topic, so a kept level
 * would keep the whole topic in memory.
 */
export function ownCopy(text: string): string {
  return Buffer.from(text, 'utf16le').toString('utf16le')
}
