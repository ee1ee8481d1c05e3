// Formats a topic's explanation for a terminal.
import { printable } from '../table.ts'
import type { TopicExplanation } from './explain-topic.ts'

/** Returns aligned `Name:  value` lines, followed by notes and mistakes. */
export function formatExplanation(explanation: TopicExplanation): string {
  const rows = (
    [
      ['Topic', explanation.topic],
      ['Kind', explanation.kind],
      ['Client', explanation.client],
      ['Model', explanation.model],
      ['Operation', explanation.operation],
      ['Id', explanation.id],
      ['Connector', explanation.connector],
      ['Reply topic', explanation.reply_topic],
      ['Request topic', explanation.request_topic],
      ['Upstream', explanation.upstream],
    ] as const
  ).flatMap(([name, value]) => (value === undefined ? [] : [`${`${name}:`.padEnd(15)}${printable(value)}`]))
  const notes = explanation.notes.map((note) => `${'Note:'.padEnd(15)}${note}`)
  const mistakes = explanation.mistakes.map((mistake) => `${'Wrong:'.padEnd(15)}${mistake}`)
  return [...rows, ...notes, ...mistakes].map((line) => `${line}\n`).join('')
}
