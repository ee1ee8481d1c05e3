// The bundled models, with the data of their model cards. training/train.py writes all files.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { ModelSource } from './model.ts'

/** A bundled model. */
export interface BundledModel extends ModelSource {
  readonly description: string
  /** Class names, indexed by class number. */
  readonly labels: readonly string[]
  /** A valid V1 request body. */
  readonly example: { readonly instances: readonly (readonly number[])[] }
  /** Fraction of `heldOutRows` that the bundled model classifies correctly. */
  readonly accuracy: number
  readonly heldOutRows: number
  /** Licence and source of the training data. */
  readonly licence: string
  readonly attribution: string
}

/** `iris` and `digits`: two small classifiers trained on the data sets that come with scikit-learn. */
export function bundledModels(): BundledModel[] {
  const cards = readJson('models/models.json') as (Omit<BundledModel, 'example'> & { example: string })[]
  return cards.map((card) => ({
    ...card,
    file: fileURLToPath(new URL(`../models/${card.file}`, import.meta.url)),
    example: readJson(`examples/${card.example}`) as BundledModel['example'],
  }))
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(new URL(`../${path}`, import.meta.url), 'utf8'))
}
