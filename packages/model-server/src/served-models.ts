// Loads the models that the server serves: ONNX files, GGUF files, and language models that are part of the program.
import { findEngine, type Engine } from './engine.ts'
import { isGgufFile, loadGguf } from './language/gguf-model.ts'
import type { LanguageModel } from './language/language-model.ts'
import { paced } from './language/paced.ts'
import { ModelServerError } from './model-server-error.ts'
import { loadModel, type Model, type ModelSource } from './model.ts'

const TOKENS_PER_SECOND = 30

/** What to load. */
export interface ModelsToServe {
  readonly models: readonly ModelSource[]
  readonly languageModels?: readonly LanguageModel[]
  /** @default 30 */
  readonly tokensPerSecond?: number
}

/** The loaded models. */
export interface ServedModels {
  readonly tensorModels: ReadonlyMap<string, Model>
  readonly languageModels: ReadonlyMap<string, LanguageModel>
  /** The package that runs ONNX models. */
  readonly engine: string
  release(): Promise<void>
}

/** Loads all models, and reports all failures together. @throws ModelServerError */
export async function loadServedModels(options: ModelsToServe): Promise<ServedModels> {
  const { models, languageModels = [], tokensPerSecond = TOKENS_PER_SECOND } = options
  checkNames([...models, ...languageModels.map(({ name }) => ({ name, file: 'in the program' }))])
  const engine = await findEngine()
  const [tensorModels, ggufModels] = await loadFiles(engine, models)
  // A GGUF model is not slowed down, because its own speed is already realistic.
  const named = [...languageModels.map((model) => paced(model, tokensPerSecond)), ...ggufModels]
  return {
    tensorModels: new Map(tensorModels.map((model) => [model.name, model])),
    languageModels: new Map(named.map((model) => [model.name, model])),
    engine: engine.name,
    release: () => releaseAll([...tensorModels, ...named]),
  }
}

async function loadFiles(
  engine: Engine,
  sources: readonly ModelSource[],
): Promise<[Model[], LanguageModel[]]> {
  const [tensorModels, ggufModels] = await Promise.all([
    Promise.allSettled(
      sources.filter(({ file }) => !isGgufFile(file)).map((source) => loadModel(engine, source)),
    ),
    Promise.allSettled(sources.filter(({ file }) => isGgufFile(file)).map((source) => loadGguf(source))),
  ])
  const loaded = [tensorModels, ggufModels]
    .flat()
    .flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  const errors = [tensorModels, ggufModels]
    .flat()
    .flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []))
  if (errors.length > 0) {
    await releaseAll(loaded)
    const [first] = errors
    if (errors.length === 1 || !(first instanceof ModelServerError)) throw first
    throw new ModelServerError(first.code, errors.map(String).join('\n'), first)
  }
  return [fulfilled(tensorModels), fulfilled(ggufModels)]
}

function fulfilled<T>(results: readonly PromiseSettledResult<T>[]): T[] {
  return results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
}

function checkNames(sources: readonly ModelSource[]): void {
  const seen = new Set<string>()
  for (const { name, file } of sources) {
    // A name must be one path segment and one topic level, without a colon: in V1, a colon precedes the operation.
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(name)) {
      throw new ModelServerError(
        'invalid_model_name',
        `"${name}" is not a valid model name (file "${file}"). Use letters, digits, ".", "_" and "-", at most 128.`,
      )
    }
    if (seen.has(name)) {
      throw new ModelServerError(
        'duplicate_model_name',
        `Two models are named "${name}"; the second is "${file}". Give it another name.`,
      )
    }
    seen.add(name)
  }
}

async function releaseAll(models: Iterable<Model | LanguageModel>): Promise<void> {
  await Promise.allSettled(Array.from(models, (model) => model.release()))
}
