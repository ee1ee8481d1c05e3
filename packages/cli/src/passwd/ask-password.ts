// Reads a password: from a terminal without echo, or from standard input.
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { PASSWORD_BYTES_MAX } from '@inferwire/mosquitto'
import { CliError, usageError } from '../cli-error.ts'
import { EXIT } from '../exit-code.ts'

// Room for two passwords of the maximum length in MQTT, including their line breaks.
const INPUT_BYTES_MAX = 2 * (PASSWORD_BYTES_MAX + 2)

/** Asks for a password, twice if it is new. @throws CliError if there is none, or if the two passwords differ */
export async function askPassword(kind: 'new' | 'known'): Promise<string> {
  const answers = process.stdin.isTTY ? await typed(kind) : await piped()
  const [first, second = first, ...more] = answers
  if (first === undefined) {
    throw usageError('no password was given', 'Type one, pipe one to standard input, or use -b.')
  }
  if (more.length > 0) {
    throw usageError('there are more than two lines on standard input', 'Write the password on one line.')
  }
  if (first !== second) throw usageError('the two passwords differ', 'Nothing was changed; try again.')
  return first
}

// Reads the lines of standard input: the password once, or twice as mosquitto_passwd requires.
async function piped(): Promise<string[]> {
  const chunks: Buffer[] = []
  let total = 0
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    total += chunk.length
    if (total > INPUT_BYTES_MAX) {
      throw usageError('standard input is longer than a password can be', 'Write the password on one line.')
    }
    chunks.push(chunk)
  }
  const lines = utf8(Buffer.concat(chunks)).split('\n')
  if (lines.at(-1) === '') lines.pop()
  return lines.map((line) => line.replace(/\r$/, ''))
}

function utf8(bytes: Buffer): string {
  try {
    // Removes a byte order mark, which is not part of the password.
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw usageError('the password on standard input is not UTF-8', 'Convert it: iconv -t UTF-8')
  }
}

async function typed(kind: 'new' | 'known'): Promise<string[]> {
  // readline edits the line; its echo is discarded.
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const terminal = createInterface({ input: process.stdin, output: nowhere, terminal: true, historySize: 0 })
  let isInterrupted = false
  terminal.once('SIGINT', () => {
    isInterrupted = true
    terminal.close()
  })
  const answers: string[] = []
  try {
    // The iterator buffers lines that are pasted before their prompt.
    const lines = terminal[Symbol.asyncIterator]()
    for (const prompt of kind === 'new' ? ['Password: ', 'Reenter password: '] : ['Password: ']) {
      process.stderr.write(prompt)
      const line = await lines.next()
      process.stderr.write('\n')
      if (isInterrupted) throw new CliError(EXIT.interrupted, 'interrupted', 'Nothing was changed.')
      // Ctrl-D.
      if (line.done === true) throw usageError('no password was given', 'Nothing was changed.')
      answers.push(line.value)
    }
  } finally {
    terminal.close()
  }
  return answers
}
