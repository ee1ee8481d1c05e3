// Reads retained messages below a filter.
import type { ProbeLink, ReceivedMessage } from '../mqtt/probe-link.ts'

// Retained messages follow the SUBACK at once; a pause of this length ends the list.
const PAUSE_MS = 300

/** Subscribes, and returns the latest retained message of each topic. Empty messages are omitted. */
export async function readRetained(
  link: ProbeLink,
  filter: string,
  prefix: string,
): Promise<ReadonlyMap<string, ReceivedMessage>> {
  const isIt = ({ topic }: ReceivedMessage): boolean => topic.startsWith(prefix)
  await link.subscribe(filter)
  let count = -1
  while (link.messages.filter(isIt).length > count) {
    count = link.messages.filter(isIt).length
    await link.first((message) => isIt(message) && link.messages.filter(isIt).length > count, PAUSE_MS)
  }
  const latest = new Map(link.messages.filter(isIt).map((message) => [message.topic, message]))
  for (const [topic, { payload }] of latest) if (payload.length === 0) latest.delete(topic)
  return latest
}
