export function lowContrast(): string[];
