// Reduces a TrainedModel, which stays in memory, to the values that its mapping reads.
import { KNOWN_CONDITIONS } from './condition.ts'
import { mapAt, mapsAt, textAt, type UntrustedObject } from './untrusted-object.ts'

// No valid value is longer; a longer one is still invalid after the cut.
const TEXT_LENGTH_MAX = 1_024

/** Returns a copy of the object that maps to the same model, and takes at most about 30 kB. */
export function keptTrainedModel(object: UntrustedObject): UntrustedObject {
  const conditions = mapsAt(object, 'status', 'conditions').map((each) =>
    textsOf(each, ['type', 'status', 'reason', 'message']),
  )
  // As in the mapping, the last condition of a type applies.
  const known = new Map(conditions.map((each) => [each['type'], each]))
  const failure = textsOf(mapAt(object, 'status', 'modelStatus', 'lastFailureInfo'), ['reason', 'message'])
  return {
    metadata: {
      ...textsOf(mapAt(object, 'metadata'), ['name', 'namespace', 'deletionTimestamp']),
      annotations: ownTexts(mapAt(object, 'metadata', 'annotations')),
      labels: ownTexts(mapAt(object, 'metadata', 'labels')),
    },
    spec: textsOf(mapAt(object, 'spec'), ['inferenceService']),
    status: {
      ...textsOf(mapAt(object, 'status'), ['url']),
      conditions: KNOWN_CONDITIONS.map((type) => known.get(type)).filter((each) => each !== undefined),
      modelStatus: { lastFailureInfo: failure },
    },
  }
}

// The annotations and labels of Inferwire, and KServe's annotation to stop a model.
const OWN_NAMES = [
  'inferwire.io/expose',
  'inferwire.io/model',
  'inferwire.io/protocol-version',
  'inferwire.io/timeout-ms',
  'inferwire.io/credential',
  'serving.kserve.io/stop',
]

function ownTexts(map: UntrustedObject | undefined): Readonly<Record<string, string>> {
  return textsOf(map, OWN_NAMES)
}

function textsOf(
  map: UntrustedObject | undefined,
  names: readonly string[],
): Readonly<Record<string, string>> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const text = textAt(map, name)
      // A slice of a long text may keep the whole text in memory.
      return text === undefined ? [] : [[name, Buffer.from(text.slice(0, TEXT_LENGTH_MAX)).toString()]]
    }),
  )
}
