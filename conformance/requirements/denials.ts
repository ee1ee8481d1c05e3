// Finds what pages say that Inferwire does not do or promise, and which requirement or limit each of it is about.
import type { Limit } from './limits.ts'
import type { Requirement } from './requirement.ts'

/** One entry of a list of what is missing, or a sentence with a mark of its own. */
export interface Denial {
  readonly page: string
  /** From 1. */
  readonly line: number
  readonly text: string
  /** Of its mark, `<!-- denies: ID, ID -->`. */
  readonly ids: readonly string[]
}

const MARK = /<!-- denies: ([^>]*?) -->/

/**
 * Everything that a page denies: the entries under a heading with "not promised", each line that begins with
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

// Headings, list items, rows of tables and paragraphs, each as one line; fenced blocks are left out.
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

/** What is wrong with what the pages deny, one sentence each. */
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
        ? [`${where} denies ${id}, which is kept: ${requirement.text} Correct the page.`]
        : []
    })
  })
  const named = new Set(denials.flatMap(({ ids }) => ids))
  const unnamed = limits.filter(({ id }) => !named.has(id))
  return [...wrong, ...unnamed.map(({ id }) => `No page says ${id}`)]
}
