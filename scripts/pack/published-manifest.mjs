// Derives a package's manifest for npm from its manifest in the workspace.

/**
 * Returns the manifest to publish. A bundled package has no dependencies and exports no modules. npm verifies that a
 * published package with provenance names the `repository` that built it.
 */
export function publishedManifest(manifest, { isBundled, repository }) {
  const { devDependencies: _notPublished, exports, ...rest } = manifest
  const published = {
    ...rest,
    ...(repository === undefined ? {} : { repository: { type: 'git', url: repository } }),
    exports: isBundled ? { './package.json': './package.json' } : withoutSources(exports),
  }
  if (isBundled) {
    delete published.dependencies
    published.imports = { '#inference.proto': './proto/inference.proto' }
    published.files = [...manifest.files, 'proto', 'sbom.cdx.json', 'THIRD-PARTY-LICENSES']
  }
  return published
}

// The condition `source` names files that are only in the repository.
function withoutSources(exports) {
  const entries = Object.entries(exports).map(([path, target]) => {
    if (typeof target === 'string') return [path, target]
    const { source: _inRepository, ...conditions } = target
    return [path, conditions]
  })
  return Object.fromEntries(entries)
}
