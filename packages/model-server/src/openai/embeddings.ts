// `POST /v1/embeddings`: a vector for each text, as numbers or base64.
import { setImmediate } from 'node:timers/promises'
import type { Json } from '@inferwire/protocol'
import { PromptTooLong, type LanguageModel } from '../language/language-model.ts'
import type { Members } from './members.ts'
import { openAiFailure } from './openai-failure.ts'

type Embedded = ReturnType<NonNullable<LanguageModel['embed']>>

/** OpenAI's limit. */
const INPUTS_MAX = 2048

/** Returns the vectors. @throws Failure 400, or 501 if the model does not support embeddings */
export async function embeddings(
  model: LanguageModel,
  members: Members,
  signal: AbortSignal,
): Promise<string> {
  if (model.embed === undefined) {
    throw openAiFailure(501, `The model "${model.name}" does not support embeddings.`, 'model')
  }
  const dimensions = members.integer('dimensions', 1, Number.MAX_SAFE_INTEGER)
  if (dimensions !== undefined && dimensions !== model.embeddingDimensions) {
    throw openAiFailure(
      400,
      `The vectors of this model always have ${model.embeddingDimensions} dimensions.`,
      'dimensions',
    )
  }
  const format = members.get('encoding_format') ?? 'float'
  if (format !== 'float' && format !== 'base64') {
    throw openAiFailure(400, '"encoding_format" is not "float" or "base64".', 'encoding_format')
  }
  const embedded: Embedded[] = []
  for (const text of readInputs(members.get('input'))) {
    // Lets other requests of the process run between two texts.
    await setImmediate()
    signal.throwIfAborted()
    embedded.push(embed(model, text))
  }
  const tokens = embedded.reduce((sum, each) => sum + each.tokens, 0)
  return JSON.stringify({
    object: 'list',
    data: embedded.map(({ vector }, index) => ({
      object: 'embedding',
      index,
      embedding: format === 'float' ? [...vector] : toBase64(vector),
    })),
    model: model.name,
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  })
}

function embed(model: LanguageModel, text: string): Embedded {
  try {
    return model.embed!(text)
  } catch (error) {
    throw error instanceof PromptTooLong ? openAiFailure(400, error.message, 'input') : error
  }
}

function readInputs(input: Json | undefined): string[] {
  const texts = Array.isArray(input) ? input : [input]
  if (texts.length >= 1 && texts.length <= INPUTS_MAX && texts.every(isText)) return texts
  throw openAiFailure(
    400,
    `"input" is not a text or a list of 1 to ${INPUTS_MAX} texts. Texts must not be empty.`,
    'input',
  )
}

function isText(text: Json | undefined): text is string {
  return typeof text === 'string' && text !== ''
}

/** FP32 in little-endian order, like all of OpenAI's vectors in base64. */
function toBase64(vector: Float32Array): string {
  const bytes = Buffer.alloc(vector.length * 4)
  for (const [index, value] of vector.entries()) bytes.writeFloatLE(value, index * 4)
  return bytes.toString('base64')
}
