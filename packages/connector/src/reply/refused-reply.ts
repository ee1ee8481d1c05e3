// The problem that a requester receives if the broker does not accept the reply.
import { Problem } from '@inferwire/protocol'
import type { PublishResult } from '../step.ts'

/**
 * Returns the problem to publish instead of a reply that the broker did not accept; undefined if the broker accepted
 * the reply.
 */
export function refusalOf(result: PublishResult): Problem | undefined {
  switch (result.kind) {
    case 'acknowledged':
    case 'closed':
      return undefined
    case 'too-large':
      return new Problem(
        'response_too_large',
        `The answer needs a packet of ${result.packetBytes} bytes; the broker accepts at most ${result.packetBytesMax}.`,
        { detail: "Raise the broker's maximum packet size." },
      )
    case 'undeliverable':
      return new Problem(
        'response_too_large',
        'The broker ends the connection whenever the answer is sent.',
        {
          detail: 'The answer may exceed a limit that the broker does not announce.',
        },
      )
    case 'refused': {
      const code = `0x${result.reasonCode.toString(16)}`
      // Mosquitto's message_size_limit results in 0x83 (implementation specific error).
      const isSize = result.reasonCode === 0x83 || result.reasonCode === 0x95
      return new Problem(
        isSize ? 'response_too_large' : 'internal',
        `The broker refused the answer (${code}).`,
        {
          detail: "Check the broker's ACL and limits.",
        },
      )
    }
  }
}
