// Finds mistakes in a packed package with publint and Are the types wrong.
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'

// All packages are ES modules, which `require` loads from Node.js 20.19 on. TypeScript 5.6, which is part of the tool,
// does not know that; and resolution as in Node.js 10 does not know `exports`.
const NOT_SUPPORTED = new Set(['node10', 'node16-cjs'])
// Not a module.
const excludeEntrypoints = ['./inference.proto']

/** Returns the mistakes in the `tarball` of `npm pack`, a Uint8Array; one line for each. */
export async function packageMistakes(tarball) {
  const { messages, pkg } = await publint({ strict: true, pack: { tarball: tarball.slice().buffer } })
  const { types, problems } = await checkPackage(createPackageFromTarballData(tarball), {
    excludeEntrypoints,
  })
  return [
    ...messages.map((message) => `publint: ${formatMessage(message, pkg, { color: false })}`),
    ...(types === false && pkg.exports['.'] !== undefined ? ['types: it contains none'] : []),
    ...(problems ?? []).filter(isSupported).map((problem) => `types: ${JSON.stringify(problem)}`),
  ]
}

function isSupported({ resolutionKind, resolutionOption }) {
  return !NOT_SUPPORTED.has(resolutionKind) && resolutionOption !== 'node10'
}
