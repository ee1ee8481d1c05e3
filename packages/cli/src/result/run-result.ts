// Runs `inferwire result`: fetches the reply to a request that was sent earlier.
import type { StreamPart } from '@inferwire/client'
import { openClient } from '../broker-client.ts'
import { brokerTarget, type BrokerFlags } from '../broker-flags.ts'
import { CliError, usageError } from '../cli-error.ts'
import { EXIT } from '../exit-code.ts'
import { formatAnswer, toAnswer } from '../infer/infer-output.ts'
import { defaultFormat, printAnswerLine } from '../infer/send-request.ts'
import { formatEnd, formatPart } from '../infer/stream-output.ts'
import { cancellable } from '../interrupt.ts'
import { writeOut } from '../write-out.ts'

/** The option values as Commander returns them. */
export interface ResultFlags extends BrokerFlags {
  readonly output?: 'json' | 'body'
  readonly verbose?: true
}

/** Prints the reply. Ctrl-C ends only the wait; the result remains available. @throws CliError, InferwireError */
export async function runResult(id: string, flags: ResultFlags): Promise<void> {
  if (!/^[0-9a-f]{32}$/.test(id)) {
    throw usageError(`"${id}" is not the id of a request`, 'Use the id that infer --no-wait printed.')
  }
  const target = brokerTarget(flags, process.env)
  if (target.mqttVersion !== 5) throw usageError('result requires MQTT 5', 'Omit -V 3.1.1.')
  const { timeoutMs } = target
  const format = flags.output ?? defaultFormat()
  const client = await openClient(target)
  try {
    let parts = 0
    const onPart = (part: StreamPart): void => {
      parts += 1
      process.stdout.write(formatPart(part, format))
    }
    const reply = await cancellable((signal) => client.sdk.result(id, { timeoutMs, signal, onPart })).catch(
      (error: unknown) => {
        throw parts > 0 && isTimeout(error) ? unfinished(id, parts, error) : error
      },
    )
    const answer = toAnswer(reply, undefined, undefined)
    await writeOut(parts > 0 ? formatEnd(answer, format) : formatAnswer(answer, format))
    printAnswerLine(answer, flags)
  } finally {
    await client.close()
  }
}

// Returns whether only the wait timed out. If the reply itself is the error `deadline_exceeded`, the error has a
// body, and the result has ended.
function isTimeout(error: unknown): error is Error {
  const { code, body } = error as { readonly code?: unknown; readonly body?: unknown }
  return code === 'deadline_exceeded' && body === undefined
}

function unfinished(id: string, parts: number, cause: Error): CliError {
  return new CliError(
    EXIT.deadline,
    `The stream is not complete: ${parts === 1 ? '1 part was' : `${parts} parts were`} printed; the rest remains available with: inferwire result ${id}`,
    'To wait longer, use -t SECONDS.',
    { cause },
  )
}
