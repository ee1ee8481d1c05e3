// Serves a GGUF file as a language model.
import { open } from 'node:fs/promises'
import { ModelServerError } from '../model-server-error.ts'
import type { ModelSource } from '../model.ts'
import { Turns } from '../turns.ts'
import { findLlama } from './llama.ts'
import {
  tokensAllowed,
  type ChatMessage,
  type Generation,
  type LanguageModel,
  type Piece,
  type Sampling,
} from './language-model.ts'

/** Loads GGUF files. */
export interface TextEngine {
  /** Loads a file. @throws any error; its message describes the fault */
  load(file: string): Promise<TextSession>
}

/** A loaded GGUF file. Generations must not overlap: they share the engine's memory of the text so far. */
export interface TextSession {
  readonly contextTokens: number
  /** Counts the tokens of a text, or of a chat that is formatted with the model's own template. */
  countTokens(prompt: Prompt): number
  /** Generates text, and passes on each piece immediately. @throws the signal's reason if the signal is aborted */
  generate(prompt: Prompt, options: TextOptions): Promise<'stop' | 'length'>
  release(): Promise<void>
}

/** The messages of a chat, or a text to continue. */
export type Prompt = readonly ChatMessage[] | string

/** Options of one generation. */
export interface TextOptions extends Pick<Sampling, 'temperature' | 'topP' | 'seed'> {
  readonly tokensMax: number
  readonly signal: AbortSignal
  readonly onPiece: (piece: Piece) => void
}

/** Whether the name of a file ends with `.gguf`. */
export function isGgufFile(file: string): boolean {
  return /\.gguf$/i.test(file)
}

/** Loads a GGUF file. @throws ModelServerError with the file and the remedy */
export async function loadGguf(
  source: ModelSource,
  findEngine: () => Promise<TextEngine> = findLlama,
): Promise<LanguageModel> {
  const { name, file } = source
  await checkMagic(source)
  const engine = await findEngine()
  const session = await engine.load(file).catch((error: unknown) => {
    throw new ModelServerError(
      'invalid_model',
      `node-llama-cpp cannot load "${file}" as model "${name}": ${messageOf(error)}. ` +
        'Check that llama.cpp supports the architecture of the model, and that there is enough memory.',
      error,
    )
  })
  const turns = new Turns()
  const start = async (prompt: Prompt, sampling: Sampling, signal: AbortSignal): Promise<Generation> => {
    const promptTokens = session.countTokens(prompt)
    const tokensMax = tokensAllowed(sampling, promptTokens, session.contextTokens)
    const { temperature, topP, seed } = sampling
    const run = (own: AbortSignal, onPiece: (piece: Piece) => void) =>
      turns.take(own, () =>
        session.generate(prompt, { temperature, topP, seed, tokensMax, signal: own, onPiece }),
      )
    return { promptTokens, pieces: piecesOf(run, signal) }
  }
  return {
    name,
    description: `The GGUF file ${file}, run by llama.cpp`,
    contextTokens: session.contextTokens,
    chat: start,
    complete: start,
    release: () => turns.take(undefined, () => session.release()),
  }
}

async function checkMagic({ name, file }: ModelSource): Promise<void> {
  const magic = Buffer.alloc(4)
  try {
    const handle = await open(file)
    try {
      await handle.read(magic, 0, 4, 0)
    } finally {
      await handle.close()
    }
  } catch (error) {
    throw new ModelServerError(
      'model_file_unreadable',
      `Cannot read "${file}" of model "${name}": ${messageOf(error)}. Check that the path names a .gguf file.`,
      error,
    )
  }
  if (magic.toString('latin1') === 'GGUF') return
  throw new ModelServerError(
    'invalid_model',
    `"${file}" of model "${name}" is not a GGUF file: its first bytes are not "GGUF". ` +
      'Check that the download is complete, and that the file is not a web page.',
  )
}

/** Converts the calls of `onPiece` into an iterator. At most `tokensMax` pieces and the end are queued. */
async function* piecesOf(
  run: (signal: AbortSignal, onPiece: (piece: Piece) => void) => Promise<'stop' | 'length'>,
  signal: AbortSignal,
): AsyncGenerator<Piece> {
  // Leaving the loop early, after a stop sequence for example, stops the engine.
  const left = new AbortController()
  const waiting: Piece[] = []
  let wake: (() => void) | undefined
  let outcome: { readonly finish: 'stop' | 'length' } | { readonly error: unknown } | undefined
  const ended = (result: typeof outcome): void => {
    outcome = result
    wake?.()
  }
  const finished = run(AbortSignal.any([signal, left.signal]), (piece) => {
    waiting.push(piece)
    wake?.()
  }).then(
    (finish) => ended({ finish }),
    (error: unknown) => ended({ error }),
  )
  try {
    for (;;) {
      const piece = waiting.shift()
      if (piece !== undefined) {
        yield piece
      } else if (outcome === undefined) {
        await new Promise<void>((resolve) => (wake = resolve))
      } else if ('error' in outcome) {
        throw outcome.error
      } else {
        yield { text: '', tokens: 0, finish: outcome.finish }
        return
      }
    }
  } finally {
    left.abort()
    await finished
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
