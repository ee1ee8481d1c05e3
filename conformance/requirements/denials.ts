// Finds statements about features and guarantees that Inferwire does not offer, and the requirements or limits that
// these statements cite.
import type { Limit } from './limits.ts'
import type { Requirement } from './requirement.ts'

/** A statement that Inferwire lacks something: an entry in a list of missing features, or a line with a mark. */
export interface Denial {
  readonly page: string
  /** Line number, counted from 1. */
  readonly line: number
  readonly text: string
  /** The IDs in the mark of the denial, `<!-- denies: ID, ID -->`. */
  readonly ids: readonly string[]
}

const MARK = /<!-- denies: ([^>]*?) -->/

/**
 * Returns the denials of a page: the entries under a heading with "not promised", each line that begins with
 * "Not yet", and each line with a mark. An entry is a list item with the lines that continue it.
 */
export function denialsOf(page: string, text: string): Denial[] {
  const denials: Denial[] = []
  let isList = false
  for (const { line, text: paragraph } of paragraphsOf(text)) {
    const heading = /^#+ (.*)/.exec(paragraph)
    if (heading !== null) isList = /\bnot promised\b/i.test(heading[1] ?? '')
    const isEntry = isList && /^[-*] /.test(paragraph)
    const mark = MARK.exec(paragraph)
    if (!isEntry && mark === null && !/^(?:[-*] )?not yet\b/i.test(paragraph)) continue
    const ids = mark?.[1]?.split(',').map((id) => id.trim()) ?? []
    denials.push({ page, line, text: paragraph.replace(MARK, '').trim(), ids })
  }
  return denials
}

// Returns the headings, list items, table rows and paragraphs of a page, each as one line, without fenced blocks.
function paragraphsOf(text: string): { readonly line: number; readonly text: string }[] {
  const paragraphs: { line: number; text: string }[] = []
  let isFenced = false
  let isOpen = false
  for (const [index, line] of text.split('\n').entries()) {
    const isFence = line.trimStart().startsWith('```')
    if (isFence) isFenced = !isFenced
    if (isFence || isFenced || line.trim() === '') {
      isOpen = false
      continue
    }
    const begins = /^(?:#|[-*] |\||\d+\. )/.test(line)
    const last = paragraphs.at(-1)
    if (isOpen && !begins && last !== undefined) last.text += ` ${line.trim()}`
    else paragraphs.push({ line: index + 1, text: line })
    isOpen = !line.startsWith('#')
  }
  return paragraphs
}

/** Reports mistakes in the denials of the pages, one sentence each. */
export function denialMistakes(
  denials: readonly Denial[],
  requirements: readonly Requirement[],
  limits: readonly Limit[],
): string[] {
  const wrong = denials.flatMap(({ page, line, text, ids }) => {
    const where = `${page}:${line} ("${text.slice(0, 60)}")`
    if (ids.length === 0) {
      return [`${where} names no requirement and no limit; add <!-- denies: ID --> to it`]
    }
    return ids.flatMap((id) => {
      const requirement = requirements.find((each) => each.id === id)
      if (requirement === undefined) {
        return limits.some((limit) => limit.id === id) ? [] : [`${where} denies ${id}, which does not exist`]
      }
      return requirement.gap === undefined
        ? [`${where} denies ${id}, which is met: ${requirement.text} Correct the page.`]
        : []
    })
  })
  const named = new Set(denials.flatMap(({ ids }) => ids))
  const unnamed = limits.filter(({ id }) => !named.has(id))
  return [...wrong, ...unnamed.map(({ id }) => `No page cites ${id}`)]
}
