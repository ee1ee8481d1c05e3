// What a requester is told when the broker does not take the answer.
import { Problem } from '@inferwire/protocol'
import type { PublishResult } from '../step.ts'

/** The error that takes the place of a reply that the broker does not take; undefined when it took it. */
export function refusalOf(result: PublishResult): Problem | undefined {
  switch (result.kind) {
    case 'acknowledged':
    case 'closed':
      return undefined
    case 'too-large':
      return new Problem(
        'response_too_large',
        `The answer needs a packet of ${result.packetBytes} bytes; the broker takes at most ${result.packetBytesMax}.`,
        { detail: 'Raise max_packet_size of the broker.' },
      )
    case 'undeliverable':
      return new Problem(
        'response_too_large',
        'The broker ends the connection whenever the answer is sent.',
        {
          detail: 'It may be above a limit that the broker does not announce.',
        },
      )
    case 'refused': {
      const code = `0x${result.reasonCode.toString(16)}`
      // Mosquitto's message_size_limit answers 0x83 (implementation specific error).
      const isSize = result.reasonCode === 0x83 || result.reasonCode === 0x95
      return new Problem(
        isSize ? 'response_too_large' : 'internal',
        `The broker refused the answer (${code}).`,
        {
          detail: 'Look at the ACL and the limits of the broker.',
        },
      )
    }
  }
}
