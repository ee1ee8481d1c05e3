// Runs GGUF files with node-llama-cpp (llama.cpp in the process), if it is installed.
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ModelServerError } from '../model-server-error.ts'
import type { Prompt, TextEngine, TextOptions, TextSession } from './gguf-model.ts'
import { LlamaPieces, type Detokenizer, type MeteredSequence } from './llama-pieces.ts'

/** The version that this file is tested with. */
const LLAMA_VERSION = '3.21.1'

/** Larger contexts need more memory, and a demonstration does not need them. */
const CONTEXT_TOKENS_MAX = 8192

// The parts of node-llama-cpp's interface that this file uses. The package is not installed by default (83 MB), so its
// own types are not available.
interface LlamaPackage {
  getLlama(options: object): Promise<Llama>
  readonly LlamaLogLevel: { readonly error: string }
  readonly LlamaChat: new (options: { contextSequence: Sequence; autoDisposeSequence: false }) => Chat
  readonly LlamaCompletion: new (options: {
    contextSequence: Sequence
    autoDisposeSequence: false
  }) => Completion
}
interface Llama {
  readonly cpuMathCores: number
  loadModel(options: { modelPath: string }): Promise<LlamaModel>
  dispose(): Promise<void>
}
interface LlamaModel extends Detokenizer {
  readonly trainContextSize: number
  readonly tokenizer: object
  tokenize(text: string): readonly number[]
  createContext(options: { contextSize: number; sequences: 1; threads: number }): Promise<Context>
  dispose(): Promise<void>
}
interface Context {
  readonly contextSize: number
  getSequence(): Sequence
}
interface Sequence extends MeteredSequence {
  clearHistory(): Promise<void>
}
interface GenerateOptions {
  readonly maxTokens: number
  readonly temperature: number
  readonly topP: number
  readonly seed?: number
  readonly signal: AbortSignal
  readonly onToken: (tokens: readonly number[]) => void
}
interface Metadata {
  readonly stopReason: string
}
type HistoryItem =
  | { readonly type: 'system' | 'user'; readonly text: string }
  | { readonly type: 'model'; readonly response: readonly string[] }
interface Chat {
  readonly chatWrapper: {
    generateContextState(options: { chatHistory: readonly HistoryItem[] }): {
      readonly contextText: { tokenize(tokenizer: object): readonly number[] }
    }
  }
  generateResponse(
    history: readonly HistoryItem[],
    options: GenerateOptions,
  ): Promise<{ readonly metadata: Metadata }>
}
interface Completion {
  generateCompletionWithMeta(
    prompt: string,
    options: GenerateOptions,
  ): Promise<{ readonly metadata: Metadata }>
}

/**
 * Imports node-llama-cpp, from this package's dependencies or from those of the current folder.
 * @throws ModelServerError with the command that installs it
 */
export async function findLlama(): Promise<TextEngine> {
  const llamaCpp = await importLlama().catch((error: unknown) => {
    const platform = `@node-llama-cpp/${process.platform === 'darwin' ? 'mac' : process.platform}-${process.arch}`
    throw new ModelServerError(
      'engine_unavailable',
      'GGUF files need the optional package node-llama-cpp, which cannot be loaded. Install it (about 83 MB) in an empty ' +
        'folder, and run inferwire in that folder: npm install --omit=optional --ignore-scripts ' +
        `node-llama-cpp@${LLAMA_VERSION} ${platform}@${LLAMA_VERSION}`,
      error,
    )
  })
  return { load: (file) => load(llamaCpp, file) }
}

// In a checkout of Inferwire, `npm install --omit=optional` would remove the tools that are optional packages.
// Therefore, the package can also be installed in the current folder, outside the checkout.
async function importLlama(): Promise<LlamaPackage> {
  const name: string = 'node-llama-cpp'
  try {
    return (await import(name)) as LlamaPackage
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ERR_MODULE_NOT_FOUND') throw error
    const path = createRequire(join(process.cwd(), 'package.json')).resolve(name)
    return (await import(pathToFileURL(path).href)) as LlamaPackage
  }
}

async function load(llamaCpp: LlamaPackage, file: string): Promise<TextSession> {
  // Nothing is downloaded or compiled: the prebuilt binary of the platform's package is used.
  const options = { build: 'never', gpu: false, skipDownload: true, progressLogs: false }
  const llama = await llamaCpp.getLlama({ ...options, logLevel: llamaCpp.LlamaLogLevel.error })
  try {
    const model = await llama.loadModel({ modelPath: file })
    const contextSize = Math.min(model.trainContextSize, CONTEXT_TOKENS_MAX)
    // llama.cpp's threads wait for each other in busy loops. If a core has other work, a token takes up to a second
    // instead of a millisecond. Therefore, one core is left to the rest of the process. node-llama-cpp's default is at
    // least 4 threads, even on 2 cores.
    const threads = Math.max(1, Math.min(llama.cpuMathCores, availableParallelism()) - 1)
    const context = await model.createContext({ contextSize, sequences: 1, threads })
    return sessionOf(llamaCpp, llama, model, context)
  } catch (error) {
    await llama.dispose()
    throw error
  }
}

function sessionOf(llamaCpp: LlamaPackage, llama: Llama, model: LlamaModel, context: Context): TextSession {
  const contextSequence = context.getSequence()
  const chat = new llamaCpp.LlamaChat({ contextSequence, autoDisposeSequence: false })
  const completion = new llamaCpp.LlamaCompletion({ contextSequence, autoDisposeSequence: false })
  return {
    contextTokens: context.contextSize,
    countTokens(prompt) {
      if (typeof prompt === 'string') return model.tokenize(prompt).length
      const { contextText } = chat.chatWrapper.generateContextState({ chatHistory: toHistory(prompt) })
      return contextText.tokenize(model.tokenizer).length
    },
    async generate(prompt, options) {
      // The previous generation must not influence this one.
      await contextSequence.clearHistory()
      // A completion continues its prompt, so its first word may need a space. LlamaChat removes the space itself.
      const before = typeof prompt === 'string' ? model.tokenize(prompt) : []
      const pieces = new LlamaPieces(model, contextSequence, before, options)
      const settings = toLlama(options, (tokens) => pieces.add(tokens))
      const { metadata } = await (typeof prompt === 'string'
        ? completion.generateCompletionWithMeta(prompt, settings)
        : chat.generateResponse(toHistory(prompt), settings))
      pieces.end()
      return metadata.stopReason === 'maxTokens' ? 'length' : 'stop'
    },
    release: () => llama.dispose(),
  }
}

function toLlama(
  { tokensMax, temperature, topP, seed, signal }: TextOptions,
  onToken: (tokens: readonly number[]) => void,
): GenerateOptions {
  return {
    maxTokens: tokensMax,
    temperature,
    topP,
    ...(seed === undefined ? {} : { seed: seed >>> 0 }),
    signal,
    onToken,
  }
}

function toHistory(prompt: Exclude<Prompt, string>): HistoryItem[] {
  const history = prompt.map(({ role, content }): HistoryItem => {
    if (role === 'assistant') return { type: 'model', response: [content] }
    return { type: role === 'user' ? 'user' : 'system', text: content }
  })
  // The model continues the last item, which must be an empty answer.
  return [...history, { type: 'model', response: [] }]
}
