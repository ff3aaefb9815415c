// SPDX-License-Identifier: MIT
import penstock from './index.cjs';

export const { open, Connection, Matrix, Model, PenstockError, version } = penstock;
export default penstock;
